/** The trainer of a page that has the compiled engine: training runs in a worker, or here where a browser has none. */

import { Trainer } from "./core.js";

/**
 * Every method is asynchronous; errors are sentences for people.
 *
 * `open(problem)`, `run({epochs}|{steps}, {pace, seen})`, `stop()`, `frame()`, `outputs(X, rows, few)`, `save()`, `load(snapshot)`,
 * `check({rows})`, `row(i)` and `close()`. Two classes have one output, the probability of the second. `loss` and `score` of a
 * frame are those of the epoch so far, as Python's `train_loss`; before the first step they are measured on the training rows.
 * `run({epochs: n})` ends at the n-th end of an epoch from here; everything else may be asked meanwhile, but for `open` and `load`.
 */
export class WasmTrainer {
  /** @param {{engine?: any, worker?: boolean}} options address or bytes of the engine; whether it has a thread of its own */
  constructor({ engine = new URL("./chainrule.wasm", import.meta.url).href, worker = typeof Worker === "function" } = {}) {
    this.source = engine;
    this.worker = null;
    this.waiting = new Map();
    this.asked = 0;
    this.seen = null;
    this.begun = worker ? this.begin() : Promise.resolve(new Trainer(engine));
  }

  open(problem) {
    return this.ask("open", problem);
  }

  /**
   * Train until all is done or `stop` is called, and answer the last frame.
   * @param {{epochs: number}|{steps: number}} amount
   * @param {{pace?: number, seen?: ((frame: any) => void)|null}} [options] least milliseconds of an epoch; what the newest frame
   *   is given to, with all epochs since the one before
   */
  async run(amount, { pace = 0, seen = null } = {}) {
    const local = await this.begun;
    if (local) return local.run(amount, { pace, seen });
    this.seen = seen;
    return this.send("run", [amount, { pace, watched: seen !== null }]);
  }

  stop() {
    return this.ask("stop");
  }

  frame() {
    return this.ask("frame");
  }

  outputs(X, rows, few) {
    return this.ask("outputs", X, rows, few);
  }

  save() {
    return this.ask("save");
  }

  load(snapshot) {
    return this.ask("load", snapshot);
  }

  check(options) {
    return this.ask("check", options);
  }

  row(i) {
    return this.ask("row", i);
  }

  async close() {
    await this.ask("close");
    this.worker?.terminate();
  }

  async ask(method, ...values) {
    const local = await this.begun;
    return local ? local[method](...values) : this.send(method, values);
  }

  /** Start the worker; a browser that cannot run it trains in the page. @returns {Promise<Trainer|null>} */
  async begin() {
    try {
      this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
      this.worker.onmessage = ({ data }) => this.answer(data);
      this.worker.onerror = (event) => this.fail(event);
      await this.send("begin", [this.source]);
      return null;
    } catch {
      this.worker?.terminate();
      this.worker = null;
      return new Trainer(this.source);
    }
  }

  send(method, values) {
    this.asked += 1;
    const id = this.asked;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, method, values });
    });
  }

  answer({ id, result, error, frame }) {
    if (frame) {
      this.worker.postMessage({ taken: true });
      this.seen?.(frame);
      return;
    }
    const { resolve, reject } = this.waiting.get(id);
    this.waiting.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  }

  fail(event) {
    event.preventDefault?.();
    for (const { reject } of this.waiting.values()) reject(new Error("The engine's thread failed; load the page again."));
    this.waiting.clear();
  }
}

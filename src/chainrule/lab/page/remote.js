/**
 * The trainer of the lab: the interface of every trainer of this page, with the engine of `chainrule lab` behind it.
 *
 * Commands are POST requests, each a header in JSON and the arrays behind it; a training is a stream of such messages.
 * The token stands in the fragment of the address, which no browser sends; it goes into a header of each request.
 */

import { joined } from "./engine/newest.js";

const LOST = "The lab does not answer. It has ended, or this tab has lost it: look at its terminal.";
const KINDS = { float32: Float32Array, float64: Float64Array, int32: Int32Array };

/** The token of this page: from the address once, then from the tab's own storage. @returns {string} */
export function token() {
  const found = /^#token=([\w-]+)(?:&|$)/.exec(location.hash);
  if (found) {
    sessionStorage.setItem("lab-token", found[1]);
    history.replaceState(null, "", `${location.pathname}${location.search}#${location.hash.slice(found[0].length)}`);
  }
  return sessionStorage.getItem("lab-token") ?? "";
}

/**
 * A message as bytes.
 * @param {Record<string, any>} header
 * @param {Record<string, {values: Float64Array|Float32Array|Int32Array, shape: number[]}>} [arrays]
 */
export function packed(header, arrays = {}) {
  const names = Object.keys(arrays);
  const kind = (values) => Object.keys(KINDS).find((name) => values instanceof KINDS[name]);
  const described = names.map((name) => [name, kind(arrays[name].values), arrays[name].shape]);
  const text = new TextEncoder().encode(JSON.stringify({ ...header, arrays: described }));
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, text.length, true);
  const bytes = names.map((name) => {
    const { buffer, byteOffset, byteLength } = arrays[name].values;
    return new Uint8Array(buffer, byteOffset, byteLength);
  });
  return joinedBytes([length, text, ...bytes]);
}

/** Bytes one after another; a Blob of them would go through the browser's own process first. */
function joinedBytes(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
}

/** The header of a message, and where its arrays begin. @param {ArrayBuffer} buffer */
function headed(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const { arrays, ...header } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { header, arrays, place: 4 + length };
}

/** The header of a message, and its arrays under their names. @param {ArrayBuffer} buffer @returns {any} */
export function unpacked(buffer) {
  const { header, arrays, place } = headed(buffer);
  let at = place;
  for (const [name, kind, shape] of arrays) {
    const size = shape.reduce((product, n) => product * n, 1) * KINDS[kind].BYTES_PER_ELEMENT;
    header[name] = new KINDS[kind](buffer.slice(at, at + size));
    at += size;
  }
  return header;
}

/** The messages of a stream, those together that arrived together. @param {ReadableStream<Uint8Array>} stream */
async function* messages(stream) {
  const reader = stream.getReader();
  let held = new Uint8Array(0);
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((error) => {
        throw error.name === "AbortError" ? error : new Error(LOST);
      });
      if (done) return;
      held = held.length ? joinedBytes([held, value]) : value;
      const found = [];
      while (held.length >= 4) {
        const length = new DataView(held.buffer, held.byteOffset).getUint32(0, true);
        if (held.length < 4 + length) break;
        found.push(unpacked(held.slice(4, 4 + length).buffer));
        held = held.subarray(4 + length);
      }
      if (found.length) yield found;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** A request; what goes wrong is one sentence. @returns {Promise<Response>} */
async function asked(key, name, body, more = {}) {
  let answer;
  try {
    answer = await fetch(`api/${name}`, {
      method: "POST", body, headers: { Authorization: `Bearer ${key}` }, credentials: "omit", redirect: "error", ...more,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(LOST);
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Error(said.error ?? `The lab answered ${answer.status}.`);
}

/** A recipe with what the command line said and the page has no control for. */
function completed(recipe, data) {
  if (!data?.recipe) return recipe;
  const { init, l1, optimizer } = data.recipe;
  const same = optimizer.kind === recipe.optimizer.kind;
  return { ...recipe, init, l1, optimizer: same ? { ...optimizer, ...recipe.optimizer } : recipe.optimizer };
}

/** @typedef {{epoch: number, step: number, state: ArrayBuffer}} Snapshot */

/** Trains on the server. */
export class RemoteTrainer {
  /** @param {{token?: string, session?: string}} [options] */
  constructor(options = {}) {
    this.token = options.token ?? token();
    this.session = options.session ?? null;
    this.runs = 0;
    /** @type {AbortController|null} */
    this.running = null;
    this.leave = () => this.dismiss();
    addEventListener("pagehide", this.leave);
  }

  async send(name, header = {}, arrays = {}) {
    const answer = await asked(this.token, name, packed(header, arrays));
    return unpacked(await answer.arrayBuffer());
  }

  mine(header = {}) {
    if (this.session === null) throw new Error("No training is open.");
    return { session: this.session, ...header };
  }

  /**
   * The table of the command line, as the page's data: at most 5,000 of its rows, `sampled` if there are more. `rows`
   * counts all; `recipe` is what the command line said; `kinds` names the columns of the file with their kinds.
   * @param {number} [seed] of the split
   */
  async table(seed) {
    const found = await this.send("table", seed === undefined ? {} : { seed });
    return found.name === undefined ? null : { ...found, server: true };
  }

  /** Begin at first weights. Data that `table` gave stay on the server; other data are sent. @param {any} problem */
  async open({ recipe, data }) {
    const before = this.session;
    this.runs = 0;
    const { info, session } = data?.server || !data ? await this.opened({ recipe: completed(recipe, data) }) : await this.opened({
      recipe, columns: data.columns, target: data.target, classes: data.classes?.map(String) ?? null,
    }, {
      X: { values: data.X, shape: [data.X.length / data.columns.length, data.columns.length] },
      y: { values: data.y, shape: [data.y.length] },
      train: { values: data.train, shape: [data.train.length] },
      validation: { values: data.validation, shape: [data.validation.length] },
    });
    this.session = session;
    if (before !== null) await this.send("close", { session: before }).catch(() => {});
    return info;
  }

  async opened(header, arrays = {}) {
    const { session, ...info } = await this.send("open", header, arrays);
    return { session, info };
  }

  /**
   * Train until all is done or `stop` is called, and answer the last frame.
   * @param {{epochs: number}|{steps: number}} amount
   * @param {{pace?: number, seen?: ((frame: any) => void)|null}} [options] least milliseconds of an epoch; what the newest frame
   *   is given to, with all epochs since the one before. A slow page misses frames, no epochs and no steps.
   */
  async run(amount, { pace = 0, seen = null } = {}) {
    const own = new AbortController();
    this.running = own;
    this.runs += 1;
    let last = null;
    try {
      const header = this.mine({ ...amount, run: this.runs, pace, watched: seen !== null });
      const answer = await asked(this.token, "run", packed(header), { signal: own.signal });
      for await (const frames of messages(answer.body)) {
        for (const frame of frames) if (frame.error) throw new Error(frame.error);
        last = frames.reduce(joined, null);
        seen?.(last);
      }
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    } finally {
      if (this.running === own) this.running = null;
    }
    return last ?? this.frame();
  }

  /** Stop the run that was asked for last, whether the server has heard of it or not; it then answers its last frame. */
  async stop() {
    if (this.runs) await this.send("stop", this.mine({ run: this.runs }));
  }

  frame() {
    return this.send("frame", this.mine());
  }

  /**
   * @param {Float64Array} X raw rows, one after another
   * @param {number} rows
   * @param {{columns: number[], base: Float64Array}} [few] columns that X holds, and the row that all others are of
   */
  async outputs(X, rows, few) {
    const header = few ? { columns: few.columns } : {};
    const base = few ? { base: { values: few.base, shape: [few.base.length] } } : {};
    const found = await this.send("outputs", this.mine(header), { X: { values: X, shape: [rows, X.length / rows] }, ...base });
    return found.outputs;
  }

  /** @returns {Promise<Snapshot>} */
  async save() {
    const answer = await asked(this.token, "save", packed(this.mine()));
    const state = await answer.arrayBuffer();
    const { epoch, step } = headed(state).header;
    return { epoch, step, state };
  }

  /** @param {Snapshot} snapshot */
  async load(snapshot) {
    const view = new DataView(snapshot.state);
    const length = view.getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(snapshot.state, 4, length)));
    const text = new TextEncoder().encode(JSON.stringify({ ...header, ...this.mine() }));
    const size = new Uint8Array(4);
    new DataView(size.buffer).setUint32(0, text.length, true);
    const body = joinedBytes([size, text, new Uint8Array(snapshot.state, 4 + length)]);
    return unpacked(await (await asked(this.token, "load", body)).arrayBuffer());
  }

  /** Gradients against central differences. @param {{rows?: number}} [options] */
  check({ rows = 8 } = {}) {
    return this.send("check", this.mine({ rows }));
  }

  /** One of the drawn training rows through the network. @param {number} i its place in `train` */
  row(i) {
    return this.send("row", this.mine({ row: i }));
  }

  /**
   * The doctor's trials while they run, then its report.
   * @param {(point: {remedy: string, seed: number, epoch: number, loss: number}) => void} onPoint
   * @param {{seconds?: number, signal?: AbortSignal}} [options]
   */
  async examine(onPoint, { seconds = 60, signal } = {}) {
    const answer = await asked(this.token, "examine", packed(this.mine({ seconds })), { signal });
    let report = null;
    for await (const events of messages(answer.body)) {
      for (const { event, ...found } of events) {
        if (found.error) throw new Error(found.error);
        if (event === "report") report = found;
        else onPoint(found);
      }
    }
    return report;
  }

  /**
   * A branch with a remedy of the doctor: a trainer of its own, what its controls say, and its Info.
   * @param {string} remedy
   * @param {"now"|"start"} from
   */
  async apply(remedy, from = "now") {
    const { session, recipe, ...info } = await this.send("apply", this.mine({ remedy, from }));
    return { trainer: new RemoteTrainer({ token: this.token, session }), recipe, info };
  }

  /** The command that trains the server's table with a recipe; "" and the reasons where no option can say it. */
  code(recipe, epochs, data) {
    return this.send("code", { recipe: completed(recipe, data), epochs });
  }

  /** Write the run folder. @returns {Promise<{run: string, notes: string[]}>} */
  keep() {
    return this.send("keep", this.mine());
  }

  async close() {
    removeEventListener("pagehide", this.leave);
    this.running?.abort();
    if (this.session !== null) await this.send("close", this.mine());
    this.session = null;
  }

  /** Close without waiting, as the page goes. */
  dismiss() {
    this.running?.abort();
    if (this.session === null) return;
    const body = packed(this.mine());
    asked(this.token, "close", body, { keepalive: true }).catch(() => {});
  }
}

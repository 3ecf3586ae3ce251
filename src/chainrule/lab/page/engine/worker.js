/** The trainer in a thread of its own, so that the page stays smooth: the same methods, as messages. */

import { Newest } from "./newest.js";
import { Trainer } from "./core.js";

let trainer = null;
const frames = new Newest((frame) => self.postMessage({ frame }));

const METHODS = {
  begin: async (source) => {
    trainer = new Trainer(source);
    return true;
  },
  run: async (amount, { pace, watched }) => {
    const last = await trainer.run(amount, { pace, seen: watched ? (frame) => frames.put(frame) : null });
    return { ...last, epochs: [...frames.clear(), ...last.epochs] };
  },
};

self.onmessage = async ({ data: { id, method, values, taken } }) => {
  if (taken) return frames.taken();
  try {
    const result = await (METHODS[method] ?? ((...given) => trainer[method](...given)))(...values);
    self.postMessage({ id, result }, moved(result));
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
};

/** What is handed over without a copy. */
function moved(result) {
  if (result instanceof Float32Array) return [result.buffer];
  return result?.state instanceof ArrayBuffer ? [result.state] : [];
}

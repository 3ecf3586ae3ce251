/** The trainer in a thread of its own, so that the page stays smooth: the same methods, as messages. */

import { Trainer } from "./core.js";

let trainer = null;

self.onmessage = async ({ data: { id, method, values } }) => {
  try {
    if (method === "begin") trainer = new Trainer(values[0]);
    const result = method === "begin" ? true : await trainer[method](...values);
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

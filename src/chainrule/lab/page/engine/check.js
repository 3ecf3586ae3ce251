/** A gradient check, as nn/gradcheck.py: the engine's gradient against central differences of the engine's loss, float64. */

import { norm } from "./figures.js";

const STEP = 1e-5;
const RETRIES = [1, 0.1, 0.01];
const WORK = 1e9;
const MOST_ENTRIES = 64;

/**
 * @param {import("./engine.js").Probe} probe of float64
 * @param {import("./network.js").Network} network @param {any[]} blocks
 * @param {{w: Float64Array, buffers: Float64Array, step: number}} state @param {Uint32Array} rows
 */
export function gradientCheck(probe, network, blocks, { w, buffers, step }, rows) {
  const J = (at) => {
    probe.write(at, buffers);
    const { loss, weight } = probe.run(rows, step, false);
    return loss / weight;
  };
  probe.write(w, buffers);
  probe.run(rows, step, true);
  const gradient = probe.gradient();
  const count = Math.min(MOST_ENTRIES, Math.max(4, Math.floor(WORK / (4 * rows.length * network.size * network.parameters.length))));
  const compared = network.parameters.map((slot) => {
    const entries = evenly(slot, count);
    return { slot, hand: entries.map((i) => gradient[i]), numeric: entries.map((i) => slope(J, w, i, gradient)) };
  });
  const floor = 1e-3 * norm(compared.flatMap(({ hand }) => hand)) + 1e-12;
  const layers = compared.map(({ slot, hand, numeric }) => {
    const difference = norm(hand.map((g, i) => g - numeric[i]));
    const name = blocks.find(({ affine, end }) => slot.layer >= affine && slot.layer < end).name;
    return { name, parameter: slot.letter, max_relative_error: difference / Math.max(norm(hand) + norm(numeric), floor) };
  });
  return { rows: rows.length, epsilon: STEP, layers, worst: Math.max(...layers.map((layer) => layer.max_relative_error)) };
}

function evenly({ offset, size }, count) {
  const n = Math.min(size, count);
  return Array.from({ length: n }, (_, i) => offset + Math.floor((i * size) / n));
}

/** dJ/dw of one entry; where it disagrees shorter steps are tried, since a kink may lie inside the interval. */
function slope(J, w, i, gradient) {
  let best = NaN;
  for (const part of RETRIES) {
    const h = part * STEP * Math.max(1, Math.abs(w[i]));
    const up = w.slice();
    const down = w.slice();
    up[i] += h;
    down[i] -= h;
    const found = (J(up) - J(down)) / (up[i] - down[i]);
    if (!(Math.abs(found - gradient[i]) >= Math.abs(best - gradient[i]))) best = found;
    if (Math.abs(best - gradient[i]) <= 1e-8 * Math.max(1e-8, Math.abs(gradient[i]))) break;
  }
  return best;
}

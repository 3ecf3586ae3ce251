/** What a page shows of layers: figures of numbers that the engine computed. */

export const BINS = 20;
const FLAT = { sigmoid: 0.25, tanh: 1 };
const SATURATED = 0.05;

/** Training rows on which layers are measured, evenly spaced: fewer for a large network. */
export function probedRows(n, parameters) {
  const count = Math.min(n, Math.min(Math.max(Math.floor(1e7 / Math.max(parameters, 1)), 64), 256));
  return Uint32Array.from({ length: count }, (_, i) => (count === 1 ? 0 : Math.floor((i * (n - 1)) / (count - 1))));
}

export const norm = (vector) => Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));

/** Counts of numbers in bars between the smallest and the largest; zeros where one is not finite. */
export function histogram(A) {
  let [low, high] = [Infinity, -Infinity];
  for (const a of A) {
    low = a < low ? a : low;
    high = a > high ? a : high;
  }
  const counts = new Array(BINS).fill(0);
  const finite = A.every(Number.isFinite);
  const wide = finite && low < high && Number.isFinite(high - low);
  if (!wide) {
    const middle = finite && A.length ? low : 0;
    counts[BINS / 2] = finite ? A.length : 0;
    [low, high] = [middle - 0.5, middle + 0.5];
  } else {
    const width = (high - low) / BINS;
    for (const a of A) counts[Math.min(Math.floor((a - low) / width), BINS - 1)] += 1;
  }
  return { edges: Array.from({ length: BINS + 1 }, (_, i) => low + ((high - low) * i) / BINS), counts };
}

/**
 * The figures of each block.
 * @param {import("./engine.js").Probe} probe after a pass backward
 * @param {any[]} blocks @param {import("./network.js").Network} network
 * @param {Float32Array} w @param {Float32Array} gradient @param {Float32Array|null} moved what the last step added to w
 */
export function layerFigures(probe, blocks, network, w, gradient, moved) {
  return blocks.map((block) => {
    const A = probe.output(block.last);
    const mean = A.reduce((sum, a) => sum + a, 0) / A.length;
    const slots = network.parameters.filter(({ layer }) => layer >= block.affine && layer < block.end);
    const part = (vector) => vector.subarray(slots[0].offset, slots.at(-1).offset + slots.at(-1).size);
    const weight_norm = norm(part(w));
    return {
      name: block.name,
      kind: block.kind,
      units: block.units,
      activation_mean: mean,
      activation_std: Math.sqrt(A.reduce((sum, a) => sum + (a - mean) ** 2, 0) / A.length),
      histogram: histogram(A),
      dead: block.kind === "relu" ? share(A, block.units, (a) => a === 0, (count, n) => count === n) : null,
      saturated: FLAT[block.kind] ? saturated(probe.slopes(block.last), block) : null,
      gradient_norm: norm(part(gradient)),
      weight_norm,
      update_ratio: moved === null || weight_norm === 0 ? null : norm(part(moved)) / weight_norm,
    };
  });
}

/** Share of units whose count of rows with some property is right. */
function share(A, units, has, right) {
  const counts = new Float64Array(units);
  A.forEach((a, i) => {
    counts[i % units] += has(a);
  });
  return counts.filter((count) => right(count, A.length / units)).length / units;
}

function saturated(slopes, { kind, units }) {
  const sums = new Float64Array(units);
  slopes.forEach((slope, i) => {
    sums[i % units] += slope;
  });
  return sums.filter((sum) => (sum * units) / slopes.length / FLAT[kind] < SATURATED).length / units;
}

/** Standardized columns with the bits of chainrule/data/scaling.py: the same sums in the same order, in float64. */

const ROUNDING = 16 * 2 ** -52;
const HELD = 1e300;
const MOSTLY = 0.99;
const FARTHEST = 10;
const TINY = 1e-280;
const BLOCK = 4096;
const LARGEST = 1e150;

/**
 * Mean and scale of each column over some rows.
 * @param {Float64Array} X row by row @param {number} d columns @param {Int32Array} rows
 * @param {boolean} hold whether a constant column stays 0 in other rows
 */
export function fitted(X, d, rows, hold) {
  const average = (of) => weighted(X, d, rows, of);
  const first = Float64Array.from({ length: d }, (_, j) => X[rows[0] * d + j]);
  if (rows.some((row) => X.subarray(row * d, row * d + d).some((x) => Math.abs(x) > LARGEST))) {
    throw new Error("Numbers must be within 1e150 of 0 to be standardized. Use another unit.");
  }
  const mean = average((x, j) => x - first[j]).map((x, j) => first[j] + x);
  const variance = average((x, j) => (x - mean[j]) * (x - mean[j]));
  const scale = variance.map(Math.sqrt);
  const far = farthest(X, d, rows, mean);
  scale.forEach((_, j) => {
    if (variance[j] < TINY && far[j] > 0) {
      const alone = Float64Array.from(rows, (row) => (X[row * d + j] - mean[j]) / far[j]);
      scale[j] = far[j] * Math.sqrt(weighted(alone, 1, Int32Array.from(rows, (_, i) => i), (x) => x * x)[0]);
    }
  });
  const filled = average((x) => (x === 0 ? 0 : 1));
  scale.forEach((deviation, j) => {
    if (1 - filled[j] >= MOSTLY && deviation > 0) scale[j] = Math.max(deviation, far[j] / FARTHEST);
    if (scale[j] <= ROUNDING * Math.abs(mean[j])) scale[j] = hold ? HELD : 1;
  });
  return { mean, scale };
}

/** Standardized rows in an array of the type. */
export function standardized(X, d, rows, { mean, scale }, type) {
  const Z = new type(rows.length * d);
  rows.forEach((row, i) => {
    for (let j = 0; j < d; j += 1) Z[i * d + j] = (X[row * d + j] - mean[j]) / scale[j];
  });
  const at = Z.findIndex((z) => !Number.isFinite(z));
  if (at >= 0) {
    const where = `row ${rows[Math.floor(at / d)]}, column ${at % d}`;
    throw new Error(`A number in ${where} is too far from the training rows: ${X[rows[Math.floor(at / d)] * d + (at % d)]}. It may stand for a missing value.`);
  }
  return Z;
}

/** Mean of each column of what `of` makes of the numbers, block by block; one column is summed pairwise, as NumPy does. */
function weighted(X, d, rows, of) {
  const total = new Float64Array(d);
  for (let start = 0; start < rows.length; start += BLOCK) {
    const block = rows.subarray(start, start + BLOCK);
    if (d === 1) {
      total[0] += pairwise(Float64Array.from(block, (row) => of(X[row], 0)));
      continue;
    }
    const sums = new Float64Array(d);
    for (const row of block) for (let j = 0; j < d; j += 1) sums[j] += of(X[row * d + j], j);
    for (let j = 0; j < d; j += 1) total[j] += sums[j];
  }
  return total.map((sum) => sum / rows.length);
}

/** NumPy's pairwise sum: eight sums side by side over at most 128 numbers, halves of more. */
function pairwise(a) {
  const n = a.length;
  if (n < 8) return a.reduce((sum, x) => sum + x, -0);
  if (n > 128) {
    const half = Math.floor(n / 2) - (Math.floor(n / 2) % 8);
    return pairwise(a.subarray(0, half)) + pairwise(a.subarray(half));
  }
  const r = a.slice(0, 8);
  const whole = n - (n % 8);
  for (let i = 8; i < whole; i += 8) for (let k = 0; k < 8; k += 1) r[k] += a[i + k];
  let sum = r[0] + r[1] + (r[2] + r[3]) + (r[4] + r[5] + (r[6] + r[7]));
  for (let i = whole; i < n; i += 1) sum += a[i];
  return sum;
}

function farthest(X, d, rows, mean) {
  const most = new Float64Array(d);
  for (const row of rows) for (let j = 0; j < d; j += 1) most[j] = Math.max(most[j], Math.abs(X[row * d + j] - mean[j]));
  return most;
}

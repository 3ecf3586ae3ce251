/**
 * The rows that are held out, the same ones as in Python.
 *
 * The words come from the counter stream of `chainrule.random`, the quotas from `chainrule.data.split`; a test compares both.
 */

const GOLDEN = 0x9e3779b9;
const SPLIT = 4;
const VALIDATION = 1;

function mix(x) {
  x ^= x >>> 16;
  x = Math.imul(x, 0x21f0aaad);
  x ^= x >>> 15;
  x = Math.imul(x, 0xd35a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

/** One step down from a key of two words. @param {[number, number]} key @param {number} value @returns {[number, number]} */
function fold([a, b], value) {
  const below = mix(a ^ mix(value));
  return [below, mix((b + Math.imul(value, GOLDEN)) ^ below)];
}

/** The order that sorts n words of the stream. */
function permutation(n, seed) {
  let key = fold([seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0], GOLDEN);
  key = fold(fold(key, SPLIT), VALIDATION);
  const words = Float64Array.from({ length: n }, (_, i) => mix(mix((i + key[0]) >>> 0) ^ key[1]));
  return Int32Array.from(words.keys()).sort((i, j) => words[i] - words[j]);
}

function roundHalfEven(x) {
  const low = Math.floor(x);
  const rest = x - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}

/** How many rows of each class are held out: the floor of its share, one more for the largest remainders. */
function quotas(counts, fraction) {
  const high = counts.map((count) => count - 1);
  const share = counts.map((count) => fraction * count);
  const held = share.map((rows, k) => Math.min(Math.max(Math.floor(rows), Math.min(1, high[k])), high[k]));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const missing = roundHalfEven(fraction * total) - held.reduce((sum, rows) => sum + rows, 0);
  const room = [...held.keys()].filter((k) => held[k] < high[k]);
  room.sort((i, j) => held[i] - share[i] - (held[j] - share[j]) || i - j);
  for (const k of room.slice(0, Math.max(missing, 0))) held[k] += 1;
  return held;
}

/**
 * Rows to train on and rows held out, sorted, stratified by class where there are classes.
 * @param {number} n
 * @param {ArrayLike<number>|null} classes class of each row
 * @param {number} fraction share held out; 0 holds nothing out
 * @param {number} seed
 * @returns {{train: Int32Array, validation: Int32Array}}
 */
export function split(n, classes, fraction, seed) {
  if (fraction === 0) return { train: Int32Array.from({ length: n }, (_, i) => i), validation: new Int32Array(0) };
  const kinds = classes ? 1 + Array.from(classes).reduce((most, k) => Math.max(most, k), 0) : 1;
  const counts = new Array(kinds).fill(0);
  for (let i = 0; i < n; i++) counts[classes ? classes[i] : 0] += 1;
  const left = quotas(counts, fraction);
  const train = [];
  const validation = [];
  for (const i of permutation(n, seed)) (left[classes ? classes[i] : 0]-- > 0 ? validation : train).push(i);
  return { train: Int32Array.from(train).sort(), validation: Int32Array.from(validation).sort() };
}

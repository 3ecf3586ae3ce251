/** The network of a recipe: its layers in Python's order, where their numbers lie, and their first values. */

/**
 * @typedef {{type: string, units?: number, bias?: boolean, init?: string, function?: string, rate?: number}} Layer
 * @typedef {{name: string, letter: string, layer: number, offset: number, size: number, shape: number[]}} Slot
 * @typedef {{inputs: number, outputs: number, layers: Layer[], widths: number[], parameters: Slot[], buffers: Slot[], size: number,
 *   statistics: number}} Network
 */

const SUITS = { sigmoid: "xavier", tanh: "xavier", identity: "xavier", exp: "xavier", selu: "lecun" };

/**
 * Dense, batch norm, activation and dropout of each hidden layer, then a Dense; a Dense before batch norm has no bias.
 * @param {import("./recipe.js").Recipe} recipe @param {number} inputs @param {number} outputs @returns {Network}
 */
export function networkOf(recipe, inputs, outputs) {
  const rule = (suits) => (recipe.init === "auto" ? suits : recipe.init);
  const layers = recipe.hidden.flatMap((hidden) => [
    { type: "Dense", units: hidden.units, bias: !hidden.batch_norm, init: rule(SUITS[hidden.activation] ?? "he") },
    ...(hidden.batch_norm ? [{ type: "BatchNorm" }] : []),
    { type: "Activation", function: hidden.activation },
    ...(hidden.dropout ? [{ type: "Dropout", rate: hidden.dropout }] : []),
  ]);
  return laidOut(inputs, [...layers, { type: "Dense", units: outputs, bias: true, init: rule("xavier") }]);
}

/** @param {number} inputs @param {Layer[]} layers @returns {Network} */
export function laidOut(inputs, layers) {
  const widths = [inputs];
  const parameters = [];
  const buffers = [];
  let size = 0;
  let statistics = 0;
  layers.forEach((layer, i) => {
    const k = layer.units ?? widths[i];
    const own = { Dense: { W: [widths[i], k], ...(layer.bias ? { b: [k] } : {}) }, BatchNorm: { gamma: [k], beta: [k] } }[layer.type] ?? {};
    for (const [letter, shape] of Object.entries(own)) {
      parameters.push({ name: `${i}.${letter}`, letter, layer: i, offset: size, size: shape.reduce((a, b) => a * b), shape });
      size += parameters.at(-1).size;
    }
    for (const letter of layer.type === "BatchNorm" ? ["mean", "variance"] : []) {
      buffers.push({ name: `${i}.${letter}`, letter, layer: i, offset: statistics, size: k, shape: [k] });
      statistics += k;
    }
    widths.push(k);
  });
  return { inputs, outputs: widths.at(-1), layers, widths, parameters, buffers, size, statistics };
}

/** Standard deviation of first weights, as in nn/initializers.py. */
const SPREADS = {
  normal: () => 0.01,
  xavier: (d) => Math.sqrt(1 / d),
  lecun: (d) => Math.sqrt(1 / d),
  he: (d) => Math.sqrt(2 / d),
  glorot: (d, k) => Math.sqrt(2 / (d + k)),
};

/**
 * First parameters and running statistics, float64; the engine draws the random numbers.
 * @param {Network} network @param {number} seed
 * @param {(seed: number, layer: number, normal: boolean, count: number) => Float64Array} draw
 */
export function firstNumbers(network, seed, draw) {
  const w = new Float64Array(network.size);
  const buffers = new Float64Array(network.statistics);
  for (const { letter, layer, offset, size, shape } of network.parameters) {
    if (letter === "gamma") w.fill(1, offset, offset + size);
    if (letter === "W") w.set(firstWeights(network.layers[layer].init, seed, layer, shape, draw), offset);
  }
  for (const { letter, offset, size } of network.buffers) if (letter === "variance") buffers.fill(1, offset, offset + size);
  return { w, buffers };
}

function firstWeights(rule, seed, layer, [d, k], draw) {
  if (rule === "zeros") return new Float64Array(d * k);
  if (rule === "constant") return new Float64Array(d * k).fill(0.01);
  const uniform = rule.endsWith("_uniform");
  const sigma = SPREADS[rule.replace("_uniform", "")](d, k);
  const factor = uniform ? sigma * Math.sqrt(3) : sigma;
  return draw(seed, layer, !uniform, d * k).map((x) => factor * x);
}

/**
 * Blocks as people see them: an affine map with what follows it up to the next. `before` is the layer that gives Z, `last` the one
 * that gives A.
 * @param {Network} network
 */
export function blocksOf({ layers, widths }) {
  const starts = layers.flatMap((layer, i) => (layer.type === "Dense" ? [i] : []));
  return starts.map((affine, number) => {
    const end = starts[number + 1] ?? layers.length;
    const active = layers.findIndex((layer, i) => i > affine && i < end && layer.type === "Activation");
    const before = active < 0 ? affine : active - 1;
    const name = end === layers.length ? "output" : `hidden ${number + 1}`;
    return { name, kind: active < 0 ? "linear" : layers[active].function, units: widths[affine + 1], inputs: widths[affine], affine, before, last: active < 0 ? before : active, end };
  });
}

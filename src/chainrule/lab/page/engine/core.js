/** The trainer itself, in whatever thread it runs: a problem, the engine, and what a page asks of them. */

import { gradientCheck } from "./check.js";
import { Engine, Probe, Training, compiled } from "./engine.js";
import { layerFigures, probedRows } from "./figures.js";
import { blocksOf, firstNumbers, laidOut, networkOf } from "./network.js";
import { MOMENTS, batchesOf, planOf, probePlanOf } from "./plan.js";
import { checkedData, checkedRecipe, outputsOf, refuse, whole } from "./recipe.js";
import { fitted, standardized } from "./scaling.js";
import { packed, unpacked } from "./snapshot.js";

const CHECKED_ROWS = 32;
const MEASURED_AT_ONCE = 4096;
const NOTHING = { loss: 0, score: 0, weight: 0, norm: 0, steps: 0 };

export class Trainer {
  /** @param {any} source the engine: its bytes, its address or a compiled module */
  constructor(source) {
    this.source = source;
    this.module = null;
    this.engine = null;
  }

  /** @param {{recipe: any, data: any}} problem */
  async open(problem) {
    this.close();
    const data = checkedData(problem?.data);
    const recipe = checkedRecipe(problem.recipe, data);
    this.module ??= await compiled(this.source);
    this.engine = new Engine(this.module);
    this.data = data;
    this.recipe = recipe;
    this.type = recipe.dtype === "float64" ? Float64Array : Float32Array;
    this.d = data.columns.length;
    this.network = networkOf(recipe, this.d, outputsOf(recipe.task, data));
    this.blocks = blocksOf(this.network);
    this.batches = batchesOf(recipe, data.train.length);
    this.names = MOMENTS[recipe.optimizer.kind];
    this.inputs = fitted(data.X, this.d, data.train, true);
    this.targets = recipe.task === "regression" ? fitted(data.y, 1, data.train, false) : null;
    this.plan = planOf(recipe, this.network);
    this.train = this.part(data.train);
    this.validation = data.validation.length ? this.part(data.validation) : null;
    this.training = new Training(this.engine, this.plan, this.train, { ...this.network, moments: this.names.length });
    this.start();
    return { parameters: this.network.size, steps_per_epoch: this.batches, outputs: this.answers, engine: "wasm simd128" };
  }

  /** Columns of `outputs`: one for two classes (the probability of the second) and for a value. */
  get answers() {
    return this.network.outputs;
  }

  /** Rows as the engine takes them. @param {Int32Array} rows */
  part(rows, type = this.type) {
    const { engine } = this;
    const X = standardized(this.data.X, this.d, rows, this.inputs, type);
    return {
      X: engine.put(X),
      Y: engine.put(this.encoded(rows, type)),
      c: engine.put(new type(rows.length).fill(1)),
      count: rows.length,
      wide: type === Float64Array,
    };
  }

  encoded(rows, type) {
    if (this.targets) return standardized(this.data.y, 1, rows, this.targets, type);
    return (this.network.outputs > 1 ? Int32Array : type).from(rows, (row) => this.data.y[row]);
  }

  start() {
    const { w, buffers } = firstNumbers(this.network, this.recipe.seed, (...what) => this.engine.draw(...what));
    const moments = this.names.map(() => new this.type(this.network.size));
    this.training.write({ w: this.type.from(w), buffers: this.type.from(buffers), moments, step: 0 });
    this.step = 0;
    this.moved = null;
    this.sums = { ...NOTHING };
    this.finite = true;
  }

  /** @param {{epochs: number}|{steps: number}} amount */
  async advance(amount) {
    this.ready();
    const epochs = amount?.epochs;
    const asked = epochs === undefined ? whole("steps", amount?.steps, 1, 1e9) : whole("epochs", epochs, 1, 1e9) * this.batches - (this.step % this.batches);
    this.run(asked - 1);
    const before = this.training.read().w;
    this.run(1);
    this.moved = this.training.read().w.map((w, i) => w - before[i]);
    return this.frame();
  }

  /** Run steps, epoch by epoch; the sums are those of the epoch that the last step belongs to. */
  run(steps) {
    for (let left = steps; left > 0;) {
      const first = this.step % this.batches;
      const count = Math.min(left, this.batches - first);
      const found = this.training.run((this.step - first) / this.batches, first, new Float64Array(count).fill(this.recipe.learning_rate));
      const begun = first === 0 ? NOTHING : this.sums;
      this.sums = Object.fromEntries(Object.keys(NOTHING).map((name) => [name, begun[name] + found[name]]));
      this.finite = Number.isFinite(found.loss) && Number.isFinite(found.norm);
      this.step += found.steps;
      left -= count;
    }
  }

  async frame() {
    this.ready();
    const state = this.training.read();
    const { loss, score } = this.sums.steps ? this.sums : this.measured(this.train);
    const weight = this.sums.steps ? this.sums.weight : this.train.count;
    const held = this.validation && this.measured(this.validation);
    return {
      epoch: Math.floor(this.step / this.batches),
      step: this.step,
      loss: loss / weight,
      validation_loss: held && held.loss / this.validation.count,
      score: this.scored(score / weight, this.train),
      validation_score: held && this.scored(held.score / this.validation.count, this.validation),
      learning_rate: this.recipe.learning_rate,
      finite: this.finite,
      layers: this.layers(state),
    };
  }

  /** Accuracy, or R²: the share of the targets' variance that is explained. */
  scored(score, part) {
    if (!this.targets) return score;
    const Y = part.Y.view;
    const mean = Y.reduce((sum, y) => sum + y, 0) / Y.length;
    const variance = Y.reduce((sum, y) => sum + (y - mean) ** 2, 0) / Y.length;
    return variance > 0 ? 1 - score / variance : 0;
  }

  /** Loss and score of rows in inference: the engine's loss over the engine's logits. */
  measured(part) {
    const k = this.network.outputs;
    part.Z ??= this.engine.room(this.type, part.count * k);
    this.engine.call("trainer_logits", this.training.at, part.X.at, part.count, part.Z.at);
    part.losses ??= this.probe(laidOut(k, [{ type: "Activation", function: "identity" }]), { ...part, X: part.Z }, MEASURED_AT_ONCE);
    const total = { loss: 0, score: 0 };
    for (let start = 0; start < part.count; start += MEASURED_AT_ONCE) {
      const rows = Uint32Array.from({ length: Math.min(MEASURED_AT_ONCE, part.count - start) }, (_, i) => start + i);
      const { loss, score } = part.losses.run(rows, 0, false);
      total.loss += loss;
      total.score += score;
    }
    return total;
  }

  probe(network, rows, batch) {
    return new Probe(this.engine, probePlanOf(this.recipe, network, Math.min(batch, rows.count)), rows, network);
  }

  layers({ w, buffers, step }) {
    const rows = probedRows(this.train.count, this.network.size);
    this.inside ??= this.probe(this.network, this.train, rows.length);
    this.inside.write(w, buffers);
    this.inside.run(rows, step, true);
    return layerFigures(this.inside, this.blocks, this.network, w, this.inside.gradient(), this.moved);
  }

  /**
   * Answers for rows in the user's units: probabilities, or values.
   * @param {Float64Array} X
   * @param {number} rows
   * @param {{columns: number[], base: Float64Array}} [few] columns that X holds, and the row that all others are of
   */
  async outputs(X, rows, few) {
    this.ready();
    const plain = X instanceof Float64Array ? X : Float64Array.from(X ?? []);
    const given = few ? filled(plain, rows, few, this.d) : plain;
    if (given.length !== rows * this.d) refuse("X", `${this.d} numbers for each of ${rows} rows`, given.length);
    const numbers = Int32Array.from({ length: rows }, (_, i) => i);
    const k = this.network.outputs;
    const Z = this.training.logits(standardized(given, this.d, numbers, this.inputs, this.type), this.d, k);
    if (!this.targets) return Float32Array.from(this.engine.probabilities(Z, k));
    const { mean, scale } = this.targets;
    return Float32Array.from(Z, (z) => z * scale[0] + mean[0]);
  }

  /** The exact state: `load` goes on from it bit for bit. */
  async save() {
    this.ready();
    const { w, buffers, moments, step } = this.training.read();
    const sums = Object.values(this.sums).map(String);
    const header = { step, shape: this.shape, dtype: this.recipe.dtype, moments: this.names, sums, finite: this.finite, moved: this.moved !== null };
    const vectors = [w, buffers, ...moments, ...(this.moved ? [this.moved] : [])];
    return { epoch: Math.floor(step / this.batches), step, state: packed(header, vectors) };
  }

  /** What must be equal for numbers of one network to be those of another. */
  get shape() {
    return this.network.parameters.map(({ name, shape }) => `${name} ${shape.join("x")}`).join(", ");
  }

  /** Go on from a snapshot. Of another rule, the moments that both have are kept, and new ones begin at zero. */
  async load(snapshot) {
    this.ready();
    const { size, statistics } = this.network;
    const lengths = ({ shape, dtype, moments, moved }) => {
      if (shape !== this.shape || dtype !== this.recipe.dtype) throw new Error("The snapshot belongs to another network.");
      return [size, statistics, ...moments.map(() => size), ...(moved ? [size] : [])];
    };
    const { header, vectors } = unpacked(snapshot?.state, this.type, lengths);
    const [w, buffers] = vectors;
    const kept = new Map(header.moments.map((name, i) => [name, vectors[2 + i]]));
    const moments = this.names.map((name) => kept.get(name) ?? new this.type(size));
    this.training.write({ w, buffers, moments, step: whole("snapshot.step", header.step, 0, Number.MAX_SAFE_INTEGER) });
    this.step = header.step;
    this.sums = Object.fromEntries(Object.keys(NOTHING).map((name, i) => [name, Number(header.sums[i])]));
    this.finite = header.finite;
    this.moved = header.moved ? vectors.at(-1) : null;
    return this.frame();
  }

  /** The gradient against central differences, at today's weights in float64. */
  async check({ rows = CHECKED_ROWS } = {}) {
    this.ready();
    const count = Math.min(whole("rows", rows, 1, 1e6), this.train.count);
    const numbers = Uint32Array.from({ length: count }, (_, i) => i);
    const wide = this.part(this.data.train.subarray(0, count), Float64Array);
    const probe = this.probe(this.network, wide, count);
    const { w, buffers, step } = this.training.read();
    const state = { w: Float64Array.from(w), buffers: Float64Array.from(buffers), step };
    const found = gradientCheck(probe, this.network, this.blocks, state, numbers);
    probe.close();
    for (const room of [wide.X, wide.Y, wide.c]) room.free();
    return found;
  }

  /** One row through the network and back, in float64 and inference. @param {number} i its number in data.X */
  async row(i) {
    this.ready();
    const index = whole("row", i, 0, this.data.y.length - 1);
    const network = inferenceOf(this.network);
    const rows = this.part(Int32Array.of(index), Float64Array);
    const probe = this.probe(network, rows, 1);
    probe.write(foldedNumbers(this.network, network, this.training.read()), new Float64Array(0));
    const { loss } = probe.run([0], 0, true);
    const layers = blocksOf(network).map((block) => ({
      name: block.name,
      kind: block.kind,
      shape: [block.inputs, block.units],
      Z: Array.from(probe.output(block.before)),
      A: Array.from(probe.output(block.last)),
      dZ: Array.from(probe.arrived(block.before)),
    }));
    const x = Array.from(rows.X.view);
    probe.close();
    for (const room of [rows.X, rows.Y, rows.c]) room.free();
    return { index, loss, target: this.data.y[index], x, layers };
  }

  async close() {
    this.engine = null;
    this.training = null;
    this.inside = null;
  }

  ready() {
    if (!this.engine) throw new Error("Open a problem first.");
  }
}

/** The network in inference: dropout passes, and batch norm is part of the map before it. */
function inferenceOf(network) {
  const kept = network.layers.filter((layer) => layer.type === "Dense" || layer.type === "Activation");
  return laidOut(network.inputs, kept.map((layer) => (layer.type === "Dense" ? { ...layer, bias: true } : layer)));
}

/** Its parameters, float64: W γ/σ and β - μ γ/σ with the running statistics where batch norm follows. */
function foldedNumbers(network, folded, { w, buffers }) {
  const numbers = new Float64Array(folded.size);
  const denses = network.layers.flatMap((layer, i) => (layer.type === "Dense" ? [i] : []));
  const places = folded.layers.flatMap((layer, i) => (layer.type === "Dense" ? [i] : []));
  denses.forEach((i, at) => {
    const find = (letter, layer) => network.parameters.concat(network.buffers).find((slot) => slot.name === `${layer}.${letter}`);
    const read = (slot, from) => from.subarray(slot.offset, slot.offset + slot.size);
    const to = (letter) => folded.parameters.find((slot) => slot.name === `${places[at]}.${letter}`);
    const W = read(find("W", i), w);
    if (network.layers[i].bias) {
      numbers.set(W, to("W").offset);
      numbers.set(read(find("b", i), w), to("b").offset);
      return;
    }
    const [gamma, beta] = ["gamma", "beta"].map((letter) => read(find(letter, i + 1), w));
    const [mean, variance] = ["mean", "variance"].map((letter) => read(find(letter, i + 1), buffers));
    const factor = Float64Array.from(gamma, (g, j) => g / Math.sqrt(variance[j] + 1e-5));
    W.forEach((x, j) => {
      numbers[to("W").offset + j] = x * factor[j % factor.length];
    });
    factor.forEach((f, j) => {
      numbers[to("b").offset + j] = beta[j] - mean[j] * f;
    });
  });
  return numbers;
}

/** Rows with all of their columns: those of X where `columns` names them, those of the one row `base` elsewhere. */
function filled(X, rows, { columns, base }, d) {
  const sound = columns.every((column) => Number.isInteger(column) && column >= 0 && column < d);
  if (!sound || base.length !== d || X.length !== rows * columns.length) {
    refuse("columns", `numbers of columns in 0..${d - 1}, with a base row of ${d} numbers`, columns);
  }
  const found = new Float64Array(rows * d);
  for (let i = 0; i < rows; i++) {
    found.set(base, i * d);
    columns.forEach((column, k) => (found[i * d + column] = X[i * columns.length + k]));
  }
  return found;
}

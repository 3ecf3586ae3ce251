/** The trainer itself, in whatever thread it runs: a problem, the engine, and what a page asks of them. */

import { gradientCheck } from "./check.js";
import { Engine, Probe, Training, compiled } from "./engine.js";
import { layerFigures, probedRows } from "./figures.js";
import { foldedNumbers, inferenceOf } from "./folded.js";
import { blocksOf, firstNumbers, laidOut, networkOf } from "./network.js";
import { MOMENTS, batchesOf, planOf, probePlanOf } from "./plan.js";
import { checkedData, checkedRecipe, outputsOf, refuse, whole } from "./recipe.js";
import { fitted, standardized } from "./scaling.js";
import { packed, unpacked } from "./snapshot.js";
import { breath, until } from "./time.js";

const CHECKED_ROWS = 32;
const MEASURED_AT_ONCE = 4096;
const STRETCH_MS = 12;
const LAYERS_MS = 100;
const LAYERS_SHARE = 0.05;
const NOTHING = { loss: 0, score: 0, weight: 0, norm: 0, steps: 0 };

export class Trainer {
  /** @param {any} source the engine: its bytes, its address or a compiled module */
  constructor(source) {
    this.source = source;
    this.module = null;
    this.engine = null;
    /** @type {{asked: boolean, closed: boolean}|null} what stops the training that is on */
    this.running = null;
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
    this.rows = this.part(data.train);
    this.validation = data.validation.length ? this.part(data.validation) : null;
    this.training = new Training(this.engine, this.plan, this.rows, { ...this.network, moments: this.names.length });
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

  /**
   * Train until all is done or `stop` is called. Other methods may be called meanwhile; they are answered between two steps.
   * @param {{epochs: number}|{steps: number}} amount epochs end at the n-th end of an epoch from here
   * @param {{pace?: number, seen?: ((frame: any) => void)|null}} [options] least milliseconds of an epoch, and what each frame
   *   is given to: about 75 a second, each with the epochs since the one before, and with layers where they were measured
   */
  async run(amount, { pace = 0, seen = null } = {}) {
    this.ready();
    const asked = amount?.epochs === undefined ? whole("steps", amount?.steps, 1, 1e9) : whole("epochs", amount.epochs, 1, 1e9) * this.batches - (this.step % this.batches);
    if (this.running) throw new Error("This training is already running. Stop it first.");
    const halt = { asked: false, closed: false };
    this.running = halt;
    try {
      return await this.stretches(this.step + asked, halt, pace, seen);
    } finally {
      if (this.running === halt) this.running = null;
    }
  }

  /** Stop the training that is on between two steps; it answers its last frame. */
  async stop() {
    if (this.running) this.running.asked = true;
  }

  async stretches(end, halt, pace, seen) {
    let look = performance.now() + LAYERS_MS;
    let epochs = [];
    let last = end;
    while (!halt.asked && this.step < last) {
      const began = performance.now();
      const due = seen !== null && began >= look;
      epochs.push(...this.stretch(last, pace > 0, due));
      if (!this.finite) last = Math.min(last, Math.ceil(this.step / this.batches) * this.batches);
      if (this.step >= last) break;
      if (seen) {
        const frame = due ? { ...this.light(), layers: this.layers(this.training.read()) } : this.light();
        seen({ ...frame, epochs });
        epochs = [];
        const now = performance.now();
        if (due) look = now + Math.max(LAYERS_MS, (now - began) / LAYERS_SHARE);
      }
      await breath();
      if (pace > 0 && this.step % this.batches === 0) await until(began + pace, halt);
    }
    if (halt.closed) throw new Error("The training was closed.");
    if (halt.asked && this.step < last) epochs.push(...this.measuredStep());
    return { ...(await this.frame()), epochs };
  }

  /** Train for the time of a frame, at most to the end; answers the epochs that ended. The last step of all is measured. */
  stretch(end, single, due) {
    const began = performance.now();
    const epochs = [];
    let now = began;
    do {
      const left = Math.min(end - this.step - 1, this.batches - (this.step % this.batches));
      const fits = this.stepMs ? Math.floor((began + STRETCH_MS - now) / this.stepMs) : 1;
      const count = Math.min(left, Math.max(1, fits));
      if (count <= 0) break;
      this.train(count);
      const then = performance.now();
      this.stepMs = Math.max((then - now) / count, 1e-4);
      now = then;
      if (this.step % this.batches === 0) epochs.push(this.ended());
    } while (now < began + STRETCH_MS && !(epochs.length && (single || !this.finite)));
    const closed = epochs.length && (single || !this.finite);
    return this.step === end - 1 || (due && !closed) ? [...epochs, ...this.measuredStep()] : epochs;
  }

  /** One step, with what it adds to the parameters. */
  measuredStep() {
    const before = this.training.read().w;
    this.train(1);
    this.moved = this.training.read().w.map((w, i) => w - before[i]);
    return this.step % this.batches === 0 ? [this.ended()] : [];
  }

  /** The figures of the epoch that has just ended. */
  ended() {
    this.held = this.validation && this.measured(this.validation);
    const { epoch, loss, score, validation_loss, validation_score } = this.light();
    return [epoch, loss, score, validation_loss, validation_score];
  }

  /** Run steps, epoch by epoch; the sums are those of the epoch that the last step belongs to. */
  train(steps) {
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
    this.held = this.validation && this.measured(this.validation);
    return { ...this.light(), layers: this.layers(this.training.read()) };
  }

  /** A frame without its layers; the held-out figures are those that were measured last. */
  light() {
    const { held } = this;
    const { loss, score } = this.sums.steps ? this.sums : this.measured(this.rows);
    const weight = this.sums.steps ? this.sums.weight : this.rows.count;
    return {
      epoch: Math.floor(this.step / this.batches),
      step: this.step,
      loss: loss / weight,
      validation_loss: held && held.loss / this.validation.count,
      score: this.scored(score / weight, this.rows),
      validation_score: held && this.scored(held.score / this.validation.count, this.validation),
      learning_rate: this.recipe.learning_rate,
      finite: this.finite,
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
    const rows = probedRows(this.rows.count, this.network.size);
    this.inside ??= this.probe(this.network, this.rows, rows.length);
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
    const header = { step, per_epoch: this.batches, shape: this.shape, dtype: this.recipe.dtype, moments: this.names, sums, finite: this.finite, moved: this.moved !== null };
    const vectors = [w, buffers, ...moments, ...(this.moved ? [this.moved] : [])];
    return { epoch: Math.floor(step / this.batches), step, state: packed(header, vectors) };
  }

  /** What must be equal for numbers of one network to be those of another. */
  get shape() {
    return this.network.parameters.map(({ name, shape }) => `${name} ${shape.join("x")}`).join(", ");
  }

  /**
   * Go on from a snapshot. Of another rule, the moments that both have are kept, and new ones begin at zero; of another batch
   * size, the next epoch begins.
   */
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
    const taken = whole("snapshot.step", header.step, 0, Number.MAX_SAFE_INTEGER);
    const per = whole("snapshot.per_epoch", header.per_epoch, 1, Number.MAX_SAFE_INTEGER);
    this.step = per === this.batches ? taken : Math.ceil(taken / per) * this.batches;
    this.training.write({ w, buffers, moments, step: this.step });
    this.sums = Object.fromEntries(Object.keys(NOTHING).map((name, i) => [name, Number(header.sums[i])]));
    this.finite = header.finite;
    this.moved = header.moved ? vectors.at(-1) : null;
    return this.frame();
  }

  /** The gradient against central differences, at today's weights in float64. */
  async check({ rows = CHECKED_ROWS } = {}) {
    this.ready();
    const count = Math.min(whole("rows", rows, 1, 1e6), this.rows.count);
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
    if (this.running) Object.assign(this.running, { asked: true, closed: true });
    this.running = null;
    this.engine = null;
    this.training = null;
    this.inside = null;
  }

  ready() {
    if (!this.engine) throw new Error("Open a problem first.");
  }
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

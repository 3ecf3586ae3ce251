/** A small trainer in plain JavaScript, for tests of the page where the compiled engine was not built: dense layers only,
 * whatever a recipe says of batch norm and dropout. */

const CURVES = {
  identity: [(z) => z, () => 1],
  relu: [(z) => Math.max(z, 0), (z) => (z > 0 ? 1 : 0)],
  leaky_relu: [(z) => (z > 0 ? z : 0.01 * z), (z) => (z > 0 ? 1 : 0.01)],
  sigmoid: [(z) => 1 / (1 + Math.exp(-z)), (z) => Math.exp(-z) / (1 + Math.exp(-z)) ** 2],
  tanh: [Math.tanh, (z) => 1 - Math.tanh(z) ** 2],
};

export class WasmTrainer {
  async open({ recipe, data }) {
    for (const { activation } of recipe.hidden) {
      if (!CURVES[activation]) throw new Error(`The fake trainer has no ${activation}.`);
    }
    this.recipe = recipe;
    this.data = data;
    const outputs = recipe.task === "multiclass" ? data.classes.length : 1;
    this.widths = [data.columns.length, ...recipe.hidden.map((layer) => layer.units), outputs];
    this.curves = [...recipe.hidden.map((layer) => CURVES[layer.activation]), CURVES.identity];
    this.scale();
    let size = 0;
    this.places = this.curves.map((_, k) => {
      const W = size;
      const b = W + this.widths[k] * this.widths[k + 1];
      size = b + this.widths[k + 1];
      return { W, b };
    });
    this.w = new Float64Array(size);
    this.random = (recipe.seed * 2654435761 + 1) >>> 0;
    this.places.forEach(({ W, b }, k) => {
      for (let i = W; i < b; i++) this.w[i] = this.normal() / Math.sqrt(this.widths[k]);
    });
    Object.assign(this, { m: new Float64Array(size), v: new Float64Array(size), epoch: 0, step: 0, moved: null, seen: null });
    this.perEpoch = Math.ceil(data.train.length / recipe.batch_size);
    return { parameters: size, steps_per_epoch: this.perEpoch, outputs, engine: "fake" };
  }

  next() {
    this.random = (Math.imul(this.random, 1664525) + 1013904223) >>> 0;
    return (this.random + 0.5) / 2 ** 32;
  }

  normal() {
    return Math.sqrt(-2 * Math.log(this.next())) * Math.cos(2 * Math.PI * this.next());
  }

  scale() {
    const { X, train, columns, y } = this.data;
    const moments = (of) => {
      const mean = of.reduce((sum, x) => sum + x, 0) / of.length;
      return [mean, Math.sqrt(of.reduce((sum, x) => sum + (x - mean) ** 2, 0) / of.length) || 1];
    };
    this.inputs = columns.map((_, k) => moments(Array.from(train, (i) => X[i * columns.length + k])));
    this.target = this.recipe.task === "regression" ? moments(Array.from(train, (i) => y[i])) : [0, 1];
  }

  input(X, i) {
    return this.inputs.map(([mean, deviation], k) => (X[i * this.inputs.length + k] - mean) / deviation);
  }

  forward(x) {
    const A = [x];
    const Z = [];
    this.places.forEach(({ W, b }, k) => {
      const width = this.widths[k + 1];
      Z.push(Array.from({ length: width }, (_, j) => A[k].reduce((sum, a, i) => sum + a * this.w[W + i * width + j], this.w[b + j])));
      A.push(Z[k].map(this.curves[k][0]));
    });
    return { A, Z };
  }

  answer(z) {
    if (this.recipe.task === "binary") return [1 / (1 + Math.exp(-z[0]))];
    if (this.recipe.task === "regression") return [z[0] * this.target[1] + this.target[0]];
    const most = Math.max(...z);
    const powers = z.map((each) => Math.exp(each - most));
    const sum = powers.reduce((total, power) => total + power, 0);
    return powers.map((power) => power / sum);
  }

  lossOf(z, i) {
    const y = this.data.y[i];
    if (this.recipe.task === "regression") return { loss: (z[0] - (y - this.target[0]) / this.target[1]) ** 2, dZ: [2 * (z[0] - (y - this.target[0]) / this.target[1])] };
    const p = this.answer(z);
    if (this.recipe.task === "binary") return { loss: -Math.log(Math.max(y ? p[0] : 1 - p[0], 1e-300)), dZ: [p[0] - y] };
    return { loss: -Math.log(Math.max(p[y], 1e-300)), dZ: p.map((each, k) => each - (k === y ? 1 : 0)) };
  }

  pass(i, gradient) {
    const { A, Z } = this.forward(this.input(this.data.X, i));
    const { loss, dZ: last } = this.lossOf(Z.at(-1), i);
    const dZ = [];
    dZ[Z.length - 1] = last;
    for (let k = Z.length - 1; k >= 0; k--) {
      const { W, b } = this.places[k];
      const width = this.widths[k + 1];
      A[k].forEach((a, r) => dZ[k].forEach((d, j) => (gradient[W + r * width + j] += a * d)));
      dZ[k].forEach((d, j) => (gradient[b + j] += d));
      if (k) dZ[k - 1] = Z[k - 1].map((z, r) => this.curves[k - 1][1](z) * dZ[k].reduce((sum, d, j) => sum + d * this.w[W + r * width + j], 0));
    }
    return { loss, A, Z, dZ };
  }

  slope(rows) {
    const gradient = new Float64Array(this.w.length);
    let loss = 0;
    for (const i of rows) loss += this.pass(i, gradient).loss / rows.length;
    return { loss, gradient: gradient.map((g, i) => g / rows.length + this.recipe.alpha * this.w[i]) };
  }

  async run({ epochs = 0, steps = 0 }, { pace = 0, seen = null } = {}) {
    const halt = { asked: false };
    this.halt = halt;
    const ended = [];
    for (let left = steps || epochs * this.perEpoch - (this.step % this.perEpoch); left > 0 && !halt.asked; left--) {
      const began = performance.now();
      this.one();
      if (this.step % this.perEpoch) continue;
      const frame = await this.frame();
      ended.push([this.epoch, frame.loss, frame.score, frame.validation_loss, frame.validation_score]);
      seen?.({ ...frame, epochs: ended.splice(0) });
      if (!frame.finite) break;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, pace - (performance.now() - began))));
    }
    return { ...(await this.frame()), epochs: ended };
  }

  async stop() {
    if (this.halt) this.halt.asked = true;
  }

  one() {
    const { train } = this.data;
    const at = this.step % this.perEpoch;
    if (at === 0) {
      this.sum = 0;
      this.random = (this.recipe.seed * 7919 + this.epoch * 104729 + 5) >>> 0;
      this.order = Array.from(train, (row) => [this.next(), row]).sort((a, b) => a[0] - b[0]).map(([, row]) => row);
    }
    const rows = this.order.slice(at * this.recipe.batch_size, (at + 1) * this.recipe.batch_size);
    const { loss, gradient } = this.slope(rows);
    this.step += 1;
    this.sum += (loss * rows.length) / train.length;
    const rate = this.recipe.optimizer.learning_rate;
    const adam = this.recipe.optimizer.kind.startsWith("adam");
    const before = this.w.slice();
    for (let i = 0; i < this.w.length; i++) {
      this.m[i] = 0.9 * this.m[i] + 0.1 * gradient[i];
      this.v[i] = 0.999 * this.v[i] + 0.001 * gradient[i] ** 2;
      const step = adam ? this.m[i] / (1 - 0.9 ** this.step) / (Math.sqrt(this.v[i] / (1 - 0.999 ** this.step)) + 1e-8) : gradient[i];
      this.w[i] -= rate * step;
    }
    this.moved = this.w.map((value, i) => value - before[i]);
    if (this.step % this.perEpoch === 0) {
      this.epoch += 1;
      this.seen = this.sum;
    }
  }

  score(rows) {
    if (!rows.length) return [null, null];
    let [loss, right] = [0, 0];
    const mean = rows.reduce((sum, i) => sum + this.data.y[i], 0) / rows.length;
    let [left, all] = [0, 0];
    for (const i of rows) {
      const z = this.forward(this.input(this.data.X, i)).Z.at(-1);
      loss += this.lossOf(z, i).loss / rows.length;
      const p = this.answer(z);
      right += (this.recipe.task === "binary" ? Number(p[0] > 0.5) : p.indexOf(Math.max(...p))) === this.data.y[i] ? 1 / rows.length : 0;
      left += (p[0] - this.data.y[i]) ** 2;
      all += (this.data.y[i] - mean) ** 2;
    }
    return [loss, this.recipe.task === "regression" ? 1 - left / all : right];
  }

  async frame() {
    const [loss, score] = this.score(this.data.train);
    const [validation_loss, validation_score] = this.score(this.data.validation);
    const { gradient } = this.slope(Array.from(this.data.train.slice(0, 64)));
    const probe = Array.from(this.data.train.slice(0, 64), (i) => this.forward(this.input(this.data.X, i)).A);
    const layers = this.places.map((place, k) => this.layer(k, place, gradient, probe));
    return { epoch: this.epoch, step: this.step, loss: this.seen ?? loss, validation_loss, score, validation_score,
      learning_rate: this.recipe.optimizer.learning_rate, finite: Number.isFinite(loss), layers };
  }

  layer(k, { W, b }, gradient, probe) {
    const norm = (vector) => Math.sqrt(vector.subarray(W, b).reduce((sum, x) => sum + x * x, 0));
    const values = probe.flatMap((A) => A[k + 1]);
    const [low, high] = [Math.min(...values), Math.max(...values) + 1e-9];
    const counts = new Array(20).fill(0);
    for (const value of values) counts[Math.min(19, Math.floor((20 * (value - low)) / (high - low)))] += 1;
    const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
    const units = this.widths[k + 1];
    const silent = Array.from({ length: units }, (_, j) => probe.every((A) => A[k + 1][j] === 0)).filter(Boolean).length;
    const last = k === this.places.length - 1;
    return { name: last ? "output" : `layer ${k + 1}`, kind: last ? "linear" : this.recipe.hidden[k].activation, units, activation_mean: mean,
      activation_std: Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length),
      histogram: { edges: Array.from({ length: 21 }, (_, i) => low + ((high - low) * i) / 20), counts },
      dead: last || this.recipe.hidden[k].activation !== "relu" ? null : silent / units, saturated: null,
      gradient_norm: norm(gradient), weight_norm: norm(this.w), update_ratio: this.moved ? norm(this.moved) / norm(this.w) : null };
  }

  async outputs(X, rows, few) {
    const given = few ? Float64Array.from({ length: rows * few.base.length }, (_, i) => few.base[i % few.base.length]) : X;
    few?.columns.forEach((column, k) => {
      for (let i = 0; i < rows; i++) given[i * few.base.length + column] = X[i * few.columns.length + k];
    });
    const answers = Array.from({ length: rows }, (_, i) => this.answer(this.forward(this.input(given, i)).Z.at(-1)));
    return Float32Array.from(answers.flat());
  }

  async save() {
    const kept = { per: this.perEpoch, w: [...this.w], m: [...this.m], v: [...this.v], seen: this.seen, sum: this.sum, order: this.order };
    return { epoch: this.epoch, step: this.step, state: new TextEncoder().encode(JSON.stringify(kept)).buffer };
  }

  async load({ epoch, step, state }) {
    const { per, w, m, v, seen, sum, order } = JSON.parse(new TextDecoder().decode(state));
    const at = per === this.perEpoch ? step : Math.ceil(step / per) * this.perEpoch;
    Object.assign(this, { epoch: per === this.perEpoch ? epoch : at / this.perEpoch, step: at, seen, sum, order, w: Float64Array.from(w), m: Float64Array.from(m), v: Float64Array.from(v), moved: null });
    return this.frame();
  }

  async check() {
    const rows = Array.from(this.data.train.slice(0, 16));
    const { gradient } = this.slope(rows);
    const layers = this.places.map(({ W }, k) => {
      const kept = this.w[W];
      this.w[W] = kept + 1e-6;
      const up = this.slope(rows).loss;
      this.w[W] = kept - 1e-6;
      const down = this.slope(rows).loss;
      this.w[W] = kept;
      const slope = (up - down) / 2e-6 + this.recipe.alpha * kept;
      return { name: k === this.places.length - 1 ? "output" : `layer ${k + 1}`, parameter: "W", max_relative_error: Math.abs(slope - gradient[W]) / Math.max(Math.abs(slope), 1e-8) };
    });
    return { rows: rows.length, epsilon: 1e-6, layers, worst: Math.max(...layers.map((layer) => layer.max_relative_error)) };
  }

  async row(i) {
    const { loss, A, Z, dZ } = this.pass(i, new Float64Array(this.w.length));
    const layers = Z.map((z, k) => ({ name: k === Z.length - 1 ? "output" : `layer ${k + 1}`, kind: "dense", shape: [this.widths[k], this.widths[k + 1]], Z: z, A: A[k + 1], dZ: dZ[k] }));
    return { index: i, loss, target: this.data.y[i], x: this.input(this.data.X, i), layers };
  }

  async close() {}
}

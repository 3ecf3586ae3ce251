/** Runs the playground's engine for the tests: a task and its cases come as JSON on standard input, answers leave on standard output. */

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, wasm, task] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(`${folder}/${name}`).href);
const bytes = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
const data = (plain) => ({ ...plain, X: Float64Array.from(plain.X), y: Float64Array.from(plain.y), train: Int32Array.from(plain.train), validation: Int32Array.from(plain.validation) });

const tasks = {
  async plan(cases) {
    const { checkedRecipe, outputsOf } = await load("recipe.js");
    const { networkOf } = await load("network.js");
    const { batchesOf, planOf } = await load("plan.js");
    return cases.map(({ recipe, data: rows }) => {
      const checked = checkedRecipe(recipe, rows);
      const network = networkOf(checked, rows.columns.length, outputsOf(recipe.task, rows));
      const slots = (list) => list.map(({ name, offset, shape }) => [name, offset, shape]);
      const layers = network.layers.map((layer) => layer.init ?? null);
      return { ...planOf(checked, network), parameters: slots(network.parameters), buffers: slots(network.buffers), batches: batchesOf(checked, rows.train.length), rate: checked.learning_rate, layers };
    });
  },

  async scaling(cases) {
    const { fitted, standardized } = await load("scaling.js");
    return cases.map(({ X, d, rows, hold, type }) => {
      const [numbers, taken] = [Float64Array.from(X), Int32Array.from(rows)];
      const found = fitted(numbers, d, taken, hold);
      const classes = { float32: Float32Array, float64: Float64Array };
      return { mean: bytes(found.mean), scale: bytes(found.scale), Z: bytes(standardized(numbers, d, taken, found, classes[type])) };
    });
  },

  async names() {
    const { Engine, compiled } = await load("engine.js");
    return new Engine(await compiled(readFileSync(wasm))).names;
  },

  async train(cases) {
    const { Trainer } = await load("core.js");
    const trainer = new Trainer(readFileSync(wasm));
    const answers = [];
    for (const each of cases) {
      const info = await trainer.open({ recipe: each.recipe, data: data(each.data) });
      const first = trainer.training.read();
      const frames = [await trainer.frame()];
      const sums = [];
      for (let epoch = 0; epoch < each.epochs; epoch += 1) {
        frames.push(await trainer.run({ epochs: 1 }));
        sums.push({ ...trainer.sums });
      }
      const { w, buffers, moments, step } = trainer.training.read();
      const k = trainer.network.outputs;
      const Z = trainer.training.logits(trainer.rows.X.copy(), trainer.d, k);
      const state = { w: bytes(w), buffers: bytes(buffers), moments: moments.map(bytes), step };
      answers.push({ info, first: bytes(first.w), frames, sums, state, Z: bytes(Z), order: bytes(trainer.engine.order(each.recipe.seed, each.data.train.length, 1)) });
    }
    return answers;
  },

  /** Train on, save, go on; then load into another trainer, and go on there: the two states after each. */
  async resume(cases) {
    const { Trainer } = await load("core.js");
    const engine = readFileSync(wasm);
    const answers = [];
    for (const { recipe, data: rows, steps, more, other } of cases) {
      const problem = { recipe, data: data(rows) };
      const one = new Trainer(engine);
      await one.open(problem);
      await one.run({ steps });
      const saved = await one.save();
      const before = await one.frame();
      const frame = await one.run({ steps: more });
      const two = new Trainer(engine);
      await two.open(problem);
      const loaded = await two.load(saved);
      const again = await two.run({ steps: more });
      const branch = new Trainer(engine);
      await branch.open({ recipe: { ...recipe, ...other }, data: problem.data });
      await branch.load(saved);
      const branched = await branch.run({ steps: more });
      const states = await Promise.all([one, two].map((each) => each.save()));
      answers.push({ before, loaded, frame, again, branched, states: states.map(({ state }) => bytes(new Uint8Array(state))) });
    }
    return answers;
  },

  async look(cases) {
    const { Trainer } = await load("core.js");
    const trainer = new Trainer(readFileSync(wasm));
    const answers = [];
    for (const { recipe, data: rows, epochs, row } of cases) {
      await trainer.open({ recipe, data: data(rows) });
      const frame = await trainer.run({ epochs });
      const { w, buffers, step } = trainer.training.read();
      const outputs = Array.from(await trainer.outputs(Float64Array.from(rows.X), rows.y.length));
      const { length } = rows.columns;
      const base = Float64Array.from(rows.X.slice(0, length));
      const last = Float64Array.from(rows.y, (_, i) => rows.X[i * length + length - 1]);
      const whole = Float64Array.from({ length: rows.X.length }, (_, i) => (i % length === length - 1 ? rows.X[i] : base[i % length]));
      const few = [await trainer.outputs(last, rows.y.length, { columns: [length - 1], base }), await trainer.outputs(whole, rows.y.length)].map(bytes);
      answers.push({ few, frame, w: bytes(w), buffers: bytes(buffers), step, row: await trainer.row(row), check: await trainer.check({ rows: 16 }), outputs });
    }
    return answers;
  },

  async refuse(cases) {
    const { Trainer } = await load("core.js");
    const trainer = new Trainer(wasm === "none" ? new Uint8Array(0) : readFileSync(wasm));
    const answers = [];
    for (const { recipe, data: rows, calls } of cases) {
      try {
        await trainer.open({ recipe, data: rows && data(rows) });
        for (const [method, ...values] of calls ?? []) await trainer[method](...values);
        answers.push(null);
      } catch (error) {
        answers.push(`${error.constructor.name}: ${error.message}`);
      }
    }
    return answers;
  },

  async time(cases) {
    const { Trainer } = await load("core.js");
    const answers = [];
    for (const { recipe, data: rows, steps } of cases) {
      const trainer = new Trainer(readFileSync(wasm));
      await trainer.open({ recipe, data: data(rows) });
      trainer.train(steps);
      let best = Infinity;
      for (let i = 0; i < 5; i += 1) {
        const began = performance.now();
        trainer.train(steps);
        best = Math.min(best, (performance.now() - began) / steps);
      }
      answers.push(best * 1000);
    }
    return answers;
  },
};

process.stdout.write(JSON.stringify(await tasks[task](JSON.parse(readFileSync(0, "utf8")))));

/** The compiled engine: WebAssembly memory, structs by name, trainings and probes as objects. It knows nothing of recipes. */

const GONE = "The engine stopped after a fault; open the problem again.";

/** The engine's answer to the few questions that its C library asks of a system: the time, and nothing else. */
function system(memory) {
  const nothing = () => 52;
  return new Proxy({
    clock_time_get: (_clock, _precision, at) => {
      new DataView(memory().buffer).setBigUint64(at, BigInt(Math.round(performance.now() * 1e6)), true);
      return 0;
    },
    proc_exit: () => {
      throw new Error(GONE);
    },
  }, { get: (known, name) => known[name] ?? nothing });
}

/** Compile the engine from its bytes, a response, or an address. @param {BufferSource|URL|string} source */
export async function compiled(source) {
  if (source instanceof WebAssembly.Module) return source;
  if (ArrayBuffer.isView(source) || source instanceof ArrayBuffer) return WebAssembly.compile(source);
  const answer = await fetch(source).catch(() => null);
  if (!answer?.ok) throw new Error("The engine was not built with this page: engine/chainrule.wasm is missing.");
  return WebAssembly.compile(await answer.arrayBuffer());
}

export class Engine {
  /** @param {WebAssembly.Module} module */
  constructor(module) {
    const page = {
      refuse: (at, length) => {
        throw new Error(new TextDecoder().decode(new Uint8Array(this.memory.buffer, at, length)).replace(/^std::bad_alloc$/, "There is not enough memory for this network and these rows."));
      },
    };
    const imports = { page, wasi_snapshot_preview1: system(() => this.memory) };
    const names = WebAssembly.Module.imports(module);
    const given = Object.fromEntries(Object.keys(imports).map((space) => [space, Object.fromEntries(names.filter((each) => each.module === space).map(({ name }) => [name, imports[space][name]]))]));
    this.functions = new WebAssembly.Instance(module, given).exports;
    this.memory = this.functions.memory;
    this.functions._initialize();
    this.broken = false;
    this.names = Object.fromEntries(this.text(this.call("names")).trim().split("\n").map((line) => {
      const [name, ...values] = line.split(" ");
      return [name, values];
    }));
  }

  /** Call a function; after a fault nothing runs any more, since the engine unwinds nothing. */
  call(name, ...values) {
    if (this.broken) throw new Error(GONE);
    try {
      return this.functions[name](...values);
    } catch (error) {
      this.broken = true;
      if (error instanceof WebAssembly.RuntimeError) throw new Error("There is not enough memory for this network and these rows, or the engine failed.");
      throw error;
    }
  }

  text(at) {
    const bytes = new Uint8Array(this.memory.buffer);
    return new TextDecoder().decode(bytes.slice(at, bytes.indexOf(0, at)));
  }

  /** Room for numbers in the engine's memory. @param {any} type a typed array's class @param {number} length */
  room(type, length) {
    return new Room(this, type, length);
  }

  /** A copy of numbers there. @param {any} numbers a typed array */
  put(numbers) {
    const room = this.room(numbers.constructor, numbers.length);
    room.set(numbers);
    return room;
  }

  /** Structs as numbers in the engine's order; raises for a field or value that only one side knows. */
  structs(struct, list) {
    const fields = this.names[struct];
    return Float64Array.from(list.flatMap((each) => {
      const differing = [...fields.filter((name) => !(name in each)), ...Object.keys(each).filter((name) => !fields.includes(name))];
      if (differing.length) throw new Error(`${struct}: page and engine must name the same fields, but only one side has ${differing}.`);
      return fields.map((name) => (typeof each[name] === "string" ? this.number(`${struct}.${name}`, each[name]) : each[name]));
    }));
  }

  number(field, value) {
    const at = this.names[ENUMERATIONS[field]].indexOf(value);
    if (at < 0) throw new Error(`${field}: the engine has no ${value}.`);
    return at;
  }

  /**
   * Make a training or a probe of a plan and its rows; the rows stay where they are, the description is copied.
   * @param {"trainer_open"|"probe_open"} what
   * @param {{stages: any[], phases: any[], settings: any}} plan
   * @param {{X: Room, Y: Room, c: Room, count: number, wide: boolean}} rows
   */
  open(what, plan, rows) {
    const stages = this.put(this.structs("FusedStage", plan.stages));
    const phases = this.put(this.structs("Phase", plan.phases));
    const settings = this.put(this.structs("TrainingSettings", [plan.settings]));
    const words = [stages.at, plan.stages.length, phases.at, plan.phases.length, settings.at, rows.X.at, rows.Y.at, rows.c.at, rows.count, rows.wide ? 1 : 0];
    const problem = this.put(Uint32Array.from(words));
    const at = this.call(what, problem.at);
    for (const room of [stages, phases, settings, problem]) room.free();
    return at;
  }

  /** Random numbers for first weights. */
  draw(seed, layer, normal, count) {
    const room = this.room(Float64Array, count);
    this.call("draw", seed, layer, normal ? 1 : 0, count, room.at);
    return room.take();
  }

  /** The order of rows in an epoch. */
  order(seed, rows, epoch) {
    const room = this.room(Uint32Array, rows);
    this.call("order", seed, rows, epoch, room.at);
    return room.take();
  }

  /** Probabilities of logits (n, k), float64. */
  probabilities(Z, k) {
    const room = this.put(Float64Array.from(Z));
    this.call("probabilities", room.at, Z.length / k, k);
    return room.take();
  }
}

const ENUMERATIONS = {
  "FusedStage.norm": "Norm", "FusedStage.activation": "ActivationKind", "FusedStage.derivative_source": "DerivativeSource",
  "Phase.kind": "PhaseKind", "TrainingSettings.loss": "LossKind", "TrainingSettings.link": "ActivationKind",
  "TrainingSettings.optimizer": "OptimizerKind", "TrainingSettings.clip": "ClipKind",
};

/** Numbers in the engine's memory. A view ends when the memory grows, so it is made anew each time. */
export class Room {
  constructor(engine, type, length) {
    this.engine = engine;
    this.type = type;
    this.length = length;
    this.at = engine.call("allocate", Math.max(length, 1) * type.BYTES_PER_ELEMENT);
  }

  get view() {
    return new this.type(this.engine.memory.buffer, this.at, this.length);
  }

  set(numbers) {
    this.view.set(numbers);
  }

  copy() {
    return this.view.slice();
  }

  free() {
    this.engine.call("release", this.at);
  }

  /** A copy, the room being given back. */
  take() {
    const numbers = this.copy();
    this.free();
    return numbers;
  }
}

/** A training in the engine. */
export class Training {
  /** @param {Engine} engine @param {any} plan @param {any} rows @param {{size: number, statistics: number, moments: number}} sizes */
  constructor(engine, plan, rows, { size, statistics, moments }) {
    this.engine = engine;
    this.type = rows.wide ? Float64Array : Float32Array;
    this.at = engine.open("trainer_open", plan, rows);
    this.w = engine.room(this.type, size);
    this.statistics = engine.room(this.type, statistics);
    this.moments = Array.from({ length: moments }, () => engine.room(this.type, size));
  }

  get places() {
    return [this.w.at, this.statistics.at, this.moments[0]?.at ?? 0, this.moments[1]?.at ?? 0];
  }

  /** Train some batches of an epoch, each with its rate. */
  run(epoch, first, rates) {
    const room = this.engine.put(rates);
    const at = this.engine.call("trainer_run", this.at, epoch, first, room.at, rates.length);
    const [loss, score, weight, norm, steps] = new Float64Array(this.engine.memory.buffer, at, 5);
    room.free();
    return { loss, score, weight, norm, steps };
  }

  /** A copy of the state. */
  read() {
    const step = this.engine.call("trainer_read", this.at, ...this.places);
    return { w: this.w.copy(), buffers: this.statistics.copy(), moments: this.moments.map((each) => each.copy()), step };
  }

  write({ w, buffers, moments, step }) {
    this.w.set(w);
    this.statistics.set(buffers);
    this.moments.forEach((room, i) => room.set(moments[i]));
    this.engine.call("trainer_write", this.at, ...this.places, step);
  }

  /** Logits (n, k) of rows (n, d), in inference. */
  logits(X, d, k) {
    const n = X.length / d;
    const rows = this.engine.put(X);
    const Z = this.engine.room(this.type, n * k);
    this.engine.call("trainer_logits", this.at, rows.at, n, Z.at);
    rows.free();
    return Z.take();
  }
}

/** A look inside a network: passes of chosen rows without an update. */
export class Probe {
  constructor(engine, plan, rows, { size, statistics }) {
    this.engine = engine;
    this.type = rows.wide ? Float64Array : Float32Array;
    this.at = engine.open("probe_open", plan, rows);
    this.stages = plan.stages;
    this.most = plan.settings.batch_size;
    this.order = engine.room(Uint32Array, this.most);
    this.w = engine.room(this.type, size);
    this.statistics = engine.room(this.type, statistics);
    this.count = 0;
  }

  write(w, buffers) {
    this.w.set(w);
    this.statistics.set(buffers);
    this.engine.call("probe_write", this.at, this.w.at, this.statistics.at);
  }

  /** Pass rows forward, and backward if asked. @param {ArrayLike<number>} rows their numbers, at most a batch */
  run(rows, step, backward) {
    this.order.view.set(rows);
    this.count = rows.length;
    const at = this.engine.call("probe_run", this.at, this.order.at, rows.length, step, backward ? 1 : 0);
    const [loss, score, weight] = new Float64Array(this.engine.memory.buffer, at, 3);
    return { loss, score, weight };
  }

  /** What a stage answered, row by row. */
  output(stage) {
    return this.matrix("probe_output", stage);
  }

  /** The slopes of its activation there. */
  slopes(stage) {
    return this.matrix("probe_slopes", stage);
  }

  /** dL/dZ in front of its activation. */
  arrived(stage) {
    return this.matrix("probe_arrived", stage);
  }

  close() {
    this.engine.call("probe_close", this.at);
    for (const room of [this.order, this.w, this.statistics]) room.free();
  }

  gradient() {
    const room = this.engine.room(this.type, this.w.length);
    this.engine.call("probe_gradient", this.at, room.at);
    return room.take();
  }

  matrix(name, stage) {
    const room = this.engine.room(this.type, this.count * this.stages[stage].outputs);
    this.engine.call(name, this.at, stage, room.at);
    return room.take();
  }
}

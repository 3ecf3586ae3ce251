/** Checks of a problem: what the page gives becomes plain values in known limits, or one sentence for people. */

export const ACTIVATIONS = ["identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "mish", "exp"];
export const INITIALIZERS = ["zeros", "constant", "normal", "xavier", "xavier_uniform", "lecun", "lecun_uniform", "he", "he_uniform", "glorot", "glorot_uniform"];
export const TASKS = ["binary", "multiclass", "regression"];

const SHARE = [0, 1, "[)"];
const POSITIVE = [0, Infinity, "()"];

/** Fields of each rule with their defaults and limits, as in nn/optimizers.py. */
export const OPTIMIZERS = {
  sgd: {},
  ema_momentum: { beta: [0.9, SHARE] },
  sgd_momentum: { mu: [0.9, SHARE] },
  nesterov: { mu: [0.9, SHARE] },
  rmsprop: { rho: [0.9, SHARE], epsilon: [1e-8, POSITIVE] },
  adagrad: { epsilon: [1e-10, POSITIVE] },
  adam: { beta1: [0.9, SHARE], beta2: [0.999, SHARE], epsilon: [1e-8, POSITIVE] },
  adamw: { beta1: [0.9, SHARE], beta2: [0.999, SHARE], epsilon: [1e-8, POSITIVE], weight_decay: [0.01, [0, Infinity, "[)"]] },
};
const ALIASES = { momentum: "sgd_momentum" };

const MOST_PARAMETERS = 2 ** 26;
const MOST_LAYERS = 64;

/** @param {string} what @param {string} allowed @param {unknown} got */
export function refuse(what, allowed, got, hint = "") {
  const shown = typeof got === "string" ? `'${got}'` : got === undefined ? "nothing" : typeof got === "object" && got !== null ? JSON.stringify(got).slice(0, 60) : String(got);
  throw new Error(`${what} must be ${allowed}, got ${shown}.${hint ? ` ${hint}` : ""}`);
}

/**
 * @typedef {{units: number, activation: string, batch_norm: boolean, dropout: number}} Hidden
 * @typedef {{task: string, hidden: Hidden[], init: string, optimizer: {kind: string, [field: string]: any}, learning_rate: number,
 *   batch_size: number, alpha: number, l1: number, seed: number, dtype: string}} Recipe
 * @typedef {{columns: string[], target: string, X: Float64Array, y: Float64Array, classes: any[]|null, train: Int32Array,
 *   validation: Int32Array}} Data
 */

/** @param {any} given @param {Data} data @returns {Recipe} */
export function checkedRecipe(given, data) {
  const recipe = object("recipe", given, ["task", "hidden", "init", "optimizer", "batch_size", "alpha", "l1", "seed", "dtype"]);
  const n = data.train.length;
  const hidden = list("recipe.hidden", recipe.hidden ?? [], MOST_LAYERS).map((layer, i) => checkedLayer(`recipe.hidden[${i}]`, layer));
  const { learning_rate, ...optimizer } = checkedOptimizer(recipe.optimizer ?? { kind: "adam" });
  const checked = {
    task: one("recipe.task", recipe.task, TASKS),
    hidden,
    init: one("recipe.init", recipe.init ?? "auto", ["auto", ...INITIALIZERS]),
    optimizer,
    learning_rate,
    batch_size: batchSize(recipe.batch_size ?? "auto", n),
    alpha: number("recipe.alpha", recipe.alpha ?? 0, [0, Infinity, "[)"]),
    l1: number("recipe.l1", recipe.l1 ?? 0, [0, Infinity, "[)"]),
    seed: whole("recipe.seed", recipe.seed ?? 0, 0, Number.MAX_SAFE_INTEGER),
    dtype: one("recipe.dtype", recipe.dtype ?? "float32", ["float32", "float64"]),
  };
  checkClasses(checked.task, data);
  const normed = hidden.some((layer) => layer.batch_norm);
  if (normed && Math.min(checked.batch_size, n) < 2) {
    refuse("recipe.batch_size", "at least 2 with batch norm", Math.min(checked.batch_size, n), "One row has no variance.");
  }
  const widths = [data.columns.length, ...hidden.map((layer) => layer.units), outputsOf(checked.task, data)];
  const size = widths.slice(1).reduce((sum, width, i) => sum + width * (widths[i] + 1), 0);
  if (size > MOST_PARAMETERS) refuse("The number of parameters", `at most ${MOST_PARAMETERS}`, size, "Use fewer units.");
  return checked;
}

/** Logits of a task: one for two classes and for a value, one each for more classes. @param {string} task @param {Data} data */
export const outputsOf = (task, data) => (task === "multiclass" && data.classes.length > 2 ? data.classes.length : 1);

function checkClasses(task, data) {
  if (task === "regression") {
    if (data.classes) refuse("data.classes", "null for continuous targets", data.classes);
    return;
  }
  const k = Array.isArray(data.classes) ? data.classes.length : 0;
  if (task === "binary" ? k !== 2 : k < 2) refuse("data.classes", task === "binary" ? "two labels" : "two labels or more", data.classes);
  const at = data.y.findIndex((y) => !Number.isInteger(y) || y < 0 || y >= k);
  if (at >= 0) refuse(`data.y[${at}]`, `the number of a class, below ${k}`, data.y[at]);
}

function checkedLayer(what, given) {
  const layer = object(what, given, ["units", "activation", "batch_norm", "dropout"]);
  return {
    units: whole(`${what}.units`, layer.units, 1, 2 ** 20),
    activation: one(`${what}.activation`, layer.activation ?? "relu", ACTIVATIONS),
    batch_norm: one(`${what}.batch_norm`, layer.batch_norm ?? false, [false, true]),
    dropout: number(`${what}.dropout`, layer.dropout ?? 0, SHARE),
  };
}

function checkedOptimizer(given) {
  const kind = one("recipe.optimizer.kind", ALIASES[given?.kind] ?? given?.kind, Object.keys(OPTIMIZERS));
  const fields = OPTIMIZERS[kind];
  const optimizer = object("recipe.optimizer", given, ["kind", "learning_rate", ...Object.keys(fields)]);
  const values = Object.entries(fields).map(([name, [usual, limits]]) => [name, number(`recipe.optimizer.${name}`, optimizer[name] ?? usual, limits)]);
  return { kind, learning_rate: number("recipe.optimizer.learning_rate", optimizer.learning_rate ?? 1e-3, POSITIVE), ...Object.fromEntries(values) };
}

/** Rows of a batch: "auto" is the power of two nearest to a fiftieth of the rows between 32 and 256, "full" all rows. */
function batchSize(given, n) {
  if (given === "full") return n;
  if (given === "auto") return Math.min(Math.max(2 ** Math.round(Math.log2(Math.max(n / 50, 1))), 32), 256);
  const size = whole("recipe.batch_size", given, 1, 2 ** 31);
  if (size > n) refuse("recipe.batch_size", `at most the number of training rows (${n})`, size, "Use fewer, or 'full' for all rows.");
  return size;
}

/** @param {any} given @returns {Data} */
export function checkedData(given) {
  const data = object("data", given, ["columns", "target", "X", "y", "classes", "train", "validation"]);
  const d = list("data.columns", data.columns, 2 ** 16).length;
  if (d < 1) refuse("data.columns", "at least one name", data.columns, "Without inputs there is nothing to learn from.");
  const X = typed("data.X", data.X, Float64Array);
  const y = typed("data.y", data.y, Float64Array);
  if (X.length !== y.length * d) refuse("data.X", `${d} numbers for each of the ${y.length} rows`, X.length);
  const at = X.findIndex((x) => !Number.isFinite(x));
  if (at >= 0) refuse(`data.X in row ${Math.floor(at / d)}, column ${data.columns[at % d]},`, "a finite number", X[at]);
  const bad = y.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) refuse(`data.y in row ${bad}`, "a finite number", y[bad]);
  const train = rows("data.train", data.train, y.length);
  if (!train.length) refuse("data.train", "at least one row", 0);
  return { columns: data.columns, target: data.target, X, y, classes: data.classes ?? null, train, validation: rows("data.validation", data.validation ?? [], y.length) };
}

function rows(what, given, n) {
  const numbers = given instanceof Int32Array ? given : Int32Array.from(list(what, Array.isArray(given) ? given : [given], n));
  const at = numbers.findIndex((row) => row < 0 || row >= n);
  if (at >= 0) refuse(`${what}[${at}]`, `the number of a row, below ${n}`, numbers[at]);
  return numbers;
}

function typed(what, given, type) {
  if (given instanceof type) return given;
  if (!Array.isArray(given)) refuse(what, `a ${type.name}`, given);
  return type.from(given);
}

function object(what, given, names) {
  if (typeof given !== "object" || given === null || Array.isArray(given)) refuse(what, "an object", given);
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown !== undefined) refuse(`A field of ${what}`, `one of ${names.join(", ")}`, unknown);
  return given;
}

function list(what, given, most) {
  if (!Array.isArray(given)) refuse(what, "a list", given);
  if (given.length > most) refuse(what, `a list of at most ${most}`, given.length);
  return given;
}

function one(what, given, allowed) {
  if (!allowed.includes(given)) refuse(what, `one of ${allowed.join(", ")}`, given);
  return given;
}

export function whole(what, given, low, high) {
  if (!Number.isInteger(given) || given < low || given > high) refuse(what, `a whole number from ${low} to ${high}`, given);
  return given;
}

function number(what, given, [low, high, ends]) {
  const inside = typeof given === "number" && Number.isFinite(given) && (ends[0] === "(" ? given > low : given >= low) && given < high;
  if (!inside) refuse(what, `a number ${ends[0] === "(" ? "above" : "from"} ${low}${high === Infinity ? "" : ` and below ${high}`}`, given);
  return given;
}

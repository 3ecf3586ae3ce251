/** The settings of a run: frozen data, what may be chosen, and the recipe that a trainer takes. */

export const ACTIVATIONS = ["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "tanh", "sigmoid", "identity"];
export const OPTIMIZERS = ["adam", "adamw", "sgd", "sgd_momentum", "nesterov", "rmsprop", "adagrad"];
export const ADAPTIVE = new Set(["adam", "adamw", "rmsprop", "adagrad"]);
export const LIMITS = Object.freeze({
  layers: 8, units: [1, 512], dropout: [0, 0.95], rate: [1e-8, 1e4], batch: [1, 100_000], alpha: [0, 1e3],
  seed: [0, 2 ** 32 - 1], epochs: [1, 100_000], held: [0, 0.9],
});

/** @typedef {{units: number, activation: string, dropout: number}} Layer */
/**
 * @typedef {{source: string, file: string, target: string, task: "classification"|"regression"|null, held: number,
 *   hidden: Layer[], batch_norm: boolean, optimizer: string, rate: number, batch: number, alpha: number, seed: number,
 *   epochs: number}} Settings
 */

/** @type {Settings} */
export const USUAL = Object.freeze({
  source: "moons", file: "", target: "", task: null, held: 0.2,
  hidden: [{ units: 8, activation: "tanh", dropout: 0 }, { units: 8, activation: "tanh", dropout: 0 }],
  batch_norm: false, optimizer: "adam", rate: 0.01, batch: 32, alpha: 0, seed: 0, epochs: 200,
});

/** Settings with some changed. @param {Settings} settings @param {Partial<Settings>} change @returns {Settings} */
export const changed = (settings, change) => Object.freeze({ ...settings, ...change });

/** Whether two runs train on the same rows: only then are their curves comparable. */
export const sameRows = (a, b) =>
  ["source", "file", "target", "task", "held", "seed"].every((name) => a[name] === b[name]);

/** Whether weights and the optimizer's vectors of one run fit another. */
export function sameShape(a, b) {
  const widths = (settings) => settings.hidden.map((layer) => layer.units).join();
  return widths(a) === widths(b) && a.batch_norm === b.batch_norm && a.optimizer === b.optimizer;
}

/** @returns {boolean} whether two settings are equal in everything but the number of epochs */
export function equal(a, b) {
  return JSON.stringify({ ...a, epochs: 0 }) === JSON.stringify({ ...b, epochs: 0 });
}

/** The recipe of the trainers' contract. @param {Settings} settings @param {string} task */
export function recipeOf(settings, task) {
  return {
    task,
    hidden: settings.hidden.map((layer) => ({ ...layer, batch_norm: settings.batch_norm })),
    init: "auto",
    optimizer: { kind: settings.optimizer, learning_rate: settings.rate },
    batch_size: settings.batch,
    alpha: settings.alpha,
    l1: 0,
    seed: settings.seed,
  };
}

const NAMES = {
  held: "held-out share", batch_norm: "batch norm", optimizer: "optimizer", rate: "learning rate", batch: "batch",
  alpha: "L2", seed: "seed", source: "data", target: "target", task: "task", file: "file",
};

/** What differs, in words. @param {Settings} before @param {Settings} after @returns {string} */
export function difference(before, after) {
  const words = Object.keys(NAMES).filter((name) => before[name] !== after[name]).map((name) => worded(name, before, after));
  const shape = (settings) => settings.hidden.map((layer) => layer.units).join("-") || "none";
  if (shape(before) !== shape(after)) words.push(`hidden layers ${shape(before)} → ${shape(after)}`);
  for (const [name, of] of [["activation", (l) => l.activation], ["dropout", (l) => l.dropout]]) {
    const each = (settings) => [...new Set(settings.hidden.map(of))].join("/");
    if (each(before) !== each(after) && after.hidden.length) words.push(`${name} ${each(before)} → ${each(after)}`);
  }
  if (!words.length && !equal(before, after)) words.push("layers in another order");
  return words.join(", ");
}

function worded(name, before, after) {
  const text = (value) => (value === true ? "on" : value === false ? "off" : value || "0");
  return `${NAMES[name]} ${text(before[name])} → ${text(after[name])}`;
}

/** The plan of a network, as chainrule/engines/plan lowers it: stages, phases and settings by name. Tests compare both. */

const RANK = { Dense: 0, BatchNorm: 1, Activation: 2, Dropout: 3 };
const READS = { identity: "", gelu: "Z", silu: "Z", mish: "Z" };
const PARAMETERS = { leaky_relu: 0.01, elu: 1 };
const LETTERS = ["W", "b", "gamma", "beta", "alpha"];
const LOSSES = { binary: "binary_cross_entropy", multiclass: "softmax_cross_entropy", regression: "mean_squared_error" };

/**
 * @param {import("./network.js").Network} network
 * @param {boolean} fused whether layers run as one where they can; apart, each layer's answer can be read
 */
export function stagesOf(network, fused = true) {
  const stages = [];
  for (let start = 0; start < network.layers.length;) {
    let stop = start + 1;
    while (fused && stop < network.layers.length && RANK[network.layers[stop].type] > RANK[network.layers[stop - 1].type]) stop += 1;
    stages.push(stageOf(network, start, stop));
    start = stop;
  }
  return stages;
}

function stageOf(network, start, stop) {
  const layers = network.layers.slice(start, stop);
  const find = (type) => layers.find((layer) => layer.type === type);
  const activation = find("Activation")?.function ?? "identity";
  const rate = find("Dropout")?.rate ?? 0;
  const norm = find("BatchNorm");
  const at = (letter) => [...network.parameters, ...network.buffers].find((slot) => slot.letter === letter && slot.layer >= start && slot.layer < stop)?.offset ?? -1;
  const reads = READS[activation] ?? "A";
  const fromOutput = activation === "relu" || (rate === 0 && reads === "A");
  return {
    inputs: network.widths[start],
    outputs: network.widths[stop],
    dense: find("Dense") ? 1 : 0,
    norm: norm ? "batch" : "none",
    activation,
    activation_parameter: PARAMETERS[activation] ?? 0,
    derivative_source: fromOutput ? "from_output" : rate > 0 || reads === "Z" ? "kept" : "none",
    ...Object.fromEntries([...LETTERS, "mean", "variance"].map((letter) => [letter, at(letter)])),
    has_dropout: rate > 0 ? 1 : 0,
    dropout_threshold: Math.min(halfEven(rate * 2 ** 32), 2 ** 32 - 1),
    dropout_layer: rate > 0 ? start + layers.indexOf(find("Dropout")) : 0,
    keep_scale: 1 / (1 - rate),
    momentum: norm ? 0.9 : 0,
    epsilon: norm ? 1e-5 : 1,
    ...Object.fromEntries(LETTERS.map((letter) => [`multiplier_${letter}`, 1])),
  };
}

/** The nearest whole number; the even one of two, as Python rounds. */
function halfEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 ? low + 1 : low;
}

/** Phases of a step over stages; with `apart` the update is a phase of its own. */
export function phasesOf(stages, apart = false) {
  const last = stages.length - 1;
  const phases = [{ kind: "gather", stage: 0 }, ...stages.map((_, stage) => ({ kind: "forward", stage })), { kind: "loss", stage: last }];
  if (stages[last].derivative_source !== "none" || stages[last].norm !== "none") phases.push({ kind: "derive", stage: last });
  for (let stage = last; stage >= 0; stage -= 1) {
    if (stages[stage].dense) phases.push({ kind: "backward", stage });
    else if (stage > 0) phases.push({ kind: "pass_through", stage });
  }
  return apart ? [...phases, { kind: "update", stage: 0 }] : phases;
}

/** Everything that is not a layer. @param {import("./recipe.js").Recipe} recipe @param {number} outputs */
export function settingsOf(recipe, outputs) {
  const { kind, ...rule } = recipe.optimizer;
  return {
    loss: LOSSES[recipe.task === "multiclass" && outputs === 1 ? "binary" : recipe.task],
    link: "identity",
    label_smoothing: 0,
    delta: 1,
    optimizer: kind,
    beta1: rule.beta1 ?? rule.beta ?? rule.mu ?? rule.rho ?? 0,
    beta2: rule.beta2 ?? 0,
    epsilon: rule.epsilon ?? 0,
    weight_decay: rule.weight_decay ?? 0,
    l1: recipe.l1,
    l2: recipe.alpha,
    clip: "none",
    clip_limit: 1,
    seed: recipe.seed,
    batch_size: recipe.batch_size,
    accumulate_grad_batches: 0,
    max_weight_norm: 0,
    ema_decay: -1,
  };
}

/** Names of the vectors that an optimizer carries, first and second moment. */
export const MOMENTS = { sgd: [], ema_momentum: ["V"], sgd_momentum: ["v"], nesterov: ["v"], rmsprop: ["v"], adagrad: ["v"], adam: ["m", "v"], adamw: ["m", "v"] };

/** The plan of a training. */
export function planOf(recipe, network) {
  const stages = stagesOf(network);
  return { stages, phases: phasesOf(stages), settings: settingsOf(recipe, network.outputs) };
}

/** The plan of a look inside: every layer a stage, no penalty, and a gradient that is kept instead of used. */
export function probePlanOf(recipe, network, batch_size) {
  const stages = stagesOf(network, false);
  const settings = { ...settingsOf(recipe, network.outputs), optimizer: "sgd", beta1: 0, beta2: 0, epsilon: 0, weight_decay: 0, l1: 0, l2: 0, clip: "by_norm", batch_size };
  return { stages, phases: phasesOf(stages, true), settings };
}

/** Number of batches of an epoch; a single row left over is skipped with batch norm, since one row has no variance. */
export function batchesOf(recipe, n) {
  const count = Math.ceil(n / recipe.batch_size);
  const alone = count > 1 && recipe.batch_size > 1 && n % recipe.batch_size === 1;
  return alone && recipe.hidden.some((layer) => layer.batch_norm) ? count - 1 : count;
}

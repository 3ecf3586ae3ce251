/** What each control does, with its equation and today's numbers. Keys are the names of the controls. */

import { count, counted, percent, plain, short } from "./figures.js";

/** @typedef {{settings: any, data: any, info: any, frame: any}} Now */
/** @type {Record<string, {text: string, equation: string, now: (now: Now) => string}>} */
export const HELP = {
  held: {
    text: "Rows that the network never trains on. Their loss shows whether it learned a rule or the rows themselves.",
    equation: "rows = training + held out",
    now: ({ data }) => `${count(data.y.length)} = ${count(data.train.length)} + ${count(data.validation.length)}`,
  },
  hidden: {
    text: "Each unit adds up its inputs with weights of its own and bends the sum. More units bend in more places; more layers bend what was bent.",
    equation: "Z = A W + b, then A = f(Z)",
    now: ({ info }) => `${counted(info.parameters, "number")} to learn in all`,
  },
  activation: {
    text: "The bend. Without one (identity), any number of layers is a single straight cut.",
    equation: "A = f(Z): relu max(0, z), tanh, sigmoid 1/(1 + e⁻ᶻ), ...",
    now: ({ settings }) => `now: ${settings.hidden.map((layer) => layer.activation).join(", ") || "no hidden layer"}`,
  },
  dropout: {
    text: "The share of a layer's units that each training step leaves out at random, so that no unit relies on one other.",
    equation: "A ← A · mask / (1 − p)",
    now: ({ settings }) => `p = ${settings.hidden.map((layer) => plain(layer.dropout)).join(", ") || "–"}`,
  },
  batch_norm: {
    text: "Brings every unit's sums to mean 0 and size 1 over the batch before the bend, then lets the network choose its own.",
    equation: "Ẑ = (Z − μ) / √(σ² + ε), Z' = γ Ẑ + β",
    now: ({ settings }) => (settings.batch_norm ? `on, over ${settings.batch} rows at a time` : "off"),
  },
  optimizer: {
    text: "The rule that turns the gradient into a step. Adam divides each number's mean gradient by its usual size; SGD follows the gradient.",
    equation: "Adam: w ← w − η m̂ / (√v̂ + ε)      SGD: w ← w − η dw",
    now: ({ frame }) => `the last step moved the weights by ${ratios(frame)} of their length`,
  },
  rate: {
    text: "How far a step goes. Too high overshoots, too low crawls: about 0.1 % of the weights' length a step is usual.",
    equation: "w ← w − η · direction",
    now: ({ settings, frame }) => `η = ${plain(settings.rate)}; the last step: ${ratios(frame)}`,
  },
  batch: {
    text: "The rows that one step averages over. Few rows make many noisy steps an epoch, many rows make few exact ones.",
    equation: "dW = 1/n Σ dWᵢ over n rows",
    now: ({ settings, info }) => `n = ${Math.min(settings.batch, 1e9)}; ${counted(info.steps_per_epoch, "step")} an epoch`,
  },
  alpha: {
    text: "A pull of every weight toward 0, so that the network stays smooth.",
    equation: "J = loss + α/2 ‖W‖²",
    now: ({ settings, frame }) => `α/2 ‖W‖² = ${short((settings.alpha / 2) * squares(frame))} beside a loss of ${short(frame.loss)}`,
  },
  seed: {
    text: "Draws the first weights, the order of the rows, dropout and which rows are held out. The same seed gives the same run, bit for bit.",
    equation: "W ~ N(0, 2/n) for relu (He), N(0, 1/n) for tanh (Xavier)",
    now: ({ settings }) => `seed ${settings.seed}`,
  },
  epochs: {
    text: "How often the training goes over all training rows before it pauses.",
    equation: "steps = epochs · ⌈rows / batch⌉",
    now: ({ settings, info }) => `${count(settings.epochs)} · ${count(info.steps_per_epoch)} = ${count(settings.epochs * info.steps_per_epoch)} steps`,
  },
};

const ratios = (frame) => {
  const known = frame.layers.map((layer) => layer.update_ratio).filter((ratio) => Number.isFinite(ratio) && ratio > 0);
  if (!known.length) return "– (no step yet)";
  const [low, high] = [Math.min(...known), Math.max(...known)];
  return low === high ? percent(low) : `${percent(low)} to ${percent(high)}`;
};

const squares = (frame) => frame.layers.reduce((sum, layer) => sum + (layer.weight_norm ?? 0) ** 2, 0);

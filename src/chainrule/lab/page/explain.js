/** One training row through the network and back, step by step, each with its equation and today's numbers. */

import { make } from "./dom.js";
import { short } from "./figures.js";

const MOST_UNITS = 8;
const FORMULAS = {
  relu: (z) => `max(0, ${z})`,
  leaky_relu: (z) => `leaky_relu(${z})`,
  sigmoid: (z) => `1 / (1 + e^−(${z}))`,
  identity: (z) => z,
};

/**
 * The steps of one row as list items.
 * @param {any} row what the trainer answers for a row
 * @param {{data: any, settings: any, index: number}} at
 * @returns {HTMLElement[]}
 */
export function steps(row, { data, settings, index }) {
  const inner = row.layers.map((layer, k) => layerStep(layer, k, row.layers.length, settings));
  const back = [...row.layers].reverse().map((layer, k) => backStep(layer, row, k, settings));
  return [inputStep(data, index, row.x), ...inner, lossStep(row, data), ...back.filter(Boolean), updateStep(settings)];
}

function inputStep(data, index, scaled) {
  const width = data.columns.length;
  const values = Array.from(data.X.subarray(index * width, (index + 1) * width));
  return step("Inputs, scaled", "x = (value − mean) / standard deviation, over the training rows",
    table(data.columns, [["value", values], ...(scaled ? [["x", scaled]] : [])]));
}

function layerStep(layer, k, layers, settings) {
  const last = k === layers - 1;
  const name = activationOf(layer, k, last, settings);
  const norm = !last && settings.batch_norm ? " (batch norm with its running statistics is inside W and b)" : "";
  const [now, before] = [low(k + 1), k ? `A${low(k)}` : "x"];
  const sum = `Z${now} = ${before} W${now} + b${now}`;
  const equation = last ? sum : `${sum}${norm}, A${now} = ${name}(Z${now})`;
  const lines = [["Z", layer.Z], ...(last ? [] : [["A", layer.A]])];
  const example = !last && layer.Z?.length ? `unit 1: ${formula(name, short(layer.Z[0]))} = ${short(layer.A[0])}` : "";
  return step(`${titled(layer.name)}: forward`, equation, table(units(layer.Z), lines), example);
}

const activationOf = (layer, k, last, settings) => (last ? "identity" : settings.hidden[k]?.activation ?? layer.kind);

const formula = (name, z) => (FORMULAS[name] ?? ((value) => `${name}(${value})`))(z);

function lossStep(row, data) {
  const out = row.layers.at(-1);
  const label = data.classes ? data.classes[row.target] : row.target;
  if (!data.classes) {
    return step("Loss", "J = (prediction − truth)², both in standard deviations of the target", null,
      `truth ${short(Number(label))}, J = ${short(row.loss)}`);
  }
  const shares = data.classes.length === 2 ? binary(out.Z[0]) : softmax(Array.from(out.Z));
  const link = data.classes.length === 2 ? "p = 1 / (1 + e⁻ᶻ)" : "p = softmax(Z)";
  const p = shares[row.target];
  return step("Loss", `${link}, J = −log p of the true class`, table(data.classes.map(String), [["p", shares]]),
    `true class ${label}: J = −log ${p > 0.9995 ? `(1 − ${short(1 - p)})` : short(p)} = ${short(row.loss)}`);
}

const binary = (z) => [1 / (1 + Math.exp(z)), 1 / (1 + Math.exp(-z))];

function softmax(Z) {
  const most = Math.max(...Z);
  const powers = Z.map((z) => Math.exp(z - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

function backStep(layer, row, k, settings) {
  if (!layer.dZ) return null;
  const name = activationOf(layer, row.layers.length - 1 - k, k === 0, settings);
  const at = row.layers.length - k;
  const [now, after] = [low(at), low(at + 1)];
  const equation = k === 0 ? `dZ${now} = prediction − truth` : `dZ${now} = (dZ${after} W${after}ᵀ) · ${name}′(Z${now})`;
  return step(`${titled(layer.name)}: backward`, `${equation}, then dW${now} = ${at > 1 ? `A${low(at - 1)}` : "x"}ᵀ dZ${now}`, table(units(layer.dZ), [["dZ", layer.dZ]]));
}

function updateStep(settings) {
  const rule = { adam: "w ← w − η m̂ / (√v̂ + ε)", adamw: "w ← w − η (m̂ / (√v̂ + ε) + λ w)", sgd: "w ← w − η dw" };
  const general = rule[settings.optimizer] ?? "w ← w − η · direction from dw and its past";
  const pull = settings.alpha ? `, dw + ${settings.alpha} w in place of dw` : "";
  return step("Step", `${general}${pull}`, null, `${settings.optimizer}, η = ${settings.rate}, dw averaged over ${settings.batch} rows`);
}

/** A layer's number below the line. */
const low = (k) => [...String(k)].map((digit) => "₀₁₂₃₄₅₆₇₈₉"[Number(digit)]).join("");

const units = (values) => Array.from(values ?? [], (_, i) => `${i + 1}`);

const titled = (name) => name.charAt(0).toUpperCase() + name.slice(1);

function step(title, equation, figures, example = "") {
  return make("li", {}, make("h3", {}, title), make("p", { class: "equation" }, equation), figures,
    example ? make("p", { class: "today" }, example) : null);
}

/** A table of a few units; of many, the first. */
function table(heads, lines) {
  const some = heads.slice(0, MOST_UNITS);
  const row = ([name, values]) => make("tr", {}, make("th", { scope: "row" }, name),
    ...Array.from(values ?? []).slice(0, MOST_UNITS).map((value) => make("td", {}, short(value))));
  const more = heads.length > MOST_UNITS ? make("p", { class: "note" }, `and ${heads.length - MOST_UNITS} more`) : null;
  return make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": `figures of ${lines.map(([name]) => name).join(", ")}` },
    make("table", {}, make("thead", {}, make("tr", {}, make("td", {}), ...some.map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, ...lines.map(row))), more);
}

/**
 * The result of a gradient check as a table and a sentence.
 * @param {{rows: number, epsilon: number, layers: any[], worst: number}} result
 * @param {number} limit relative error from which the doctor warns
 */
export function checked(result, limit) {
  const good = result.worst < limit;
  const verdict = good
    ? `The gradient agrees with central differences: the largest relative error is ${short(result.worst)}.`
    : `The largest relative error is ${short(result.worst)}: more than rounding explains.`;
  const line = (layer) => make("tr", {}, make("th", { scope: "row" }, layer.name), make("td", {}, layer.parameter),
    make("td", {}, short(layer.max_relative_error)));
  const head = make("tr", {}, ...["layer", "parameter", "relative error"].map((word) => make("th", { scope: "col" }, word)));
  return {
    verdict,
    node: make("div", {}, make("p", { class: good ? "healthy" : "critical" }, verdict),
      make("p", { class: "equation" }, `dJ/dw ≈ (J(w + ε) − J(w − ε)) / 2ε, ε = ${short(result.epsilon)}, on ${result.rows} rows`),
      make("table", {}, make("thead", {}, head), make("tbody", {}, ...result.layers.map(line)))),
  };
}

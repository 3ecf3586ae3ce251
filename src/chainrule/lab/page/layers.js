/** The editor of hidden layers: a line of controls per layer. */

import { fill, make } from "./dom.js";
import { ACTIVATIONS, LIMITS } from "./settings.js";
import { within } from "./share.js";

/**
 * @param {HTMLElement} place
 * @param {import("./settings.js").Layer[]} hidden
 * @param {(hidden: import("./settings.js").Layer[], focus?: string) => void} change
 */
export function showLayers(place, hidden, change) {
  const replaced = (k, part) => hidden.map((layer, i) => (i === k ? { ...layer, ...part } : layer));
  const line = (layer, k) => make("li", { class: "layer" },
    make("span", { class: "number", "aria-hidden": "true" }, `${k + 1}`),
    number(`units-${k}`, `Units of layer ${k + 1}`, "units", layer.units, LIMITS.units, 1, (units) => change(replaced(k, { units }))),
    choice(`activation-${k}`, `Activation of layer ${k + 1}`, layer.activation, (activation) => change(replaced(k, { activation }))),
    number(`dropout-${k}`, `Dropout of layer ${k + 1}`, "dropout", layer.dropout, LIMITS.dropout, 0.05, (dropout) => change(replaced(k, { dropout }))),
    make("button", {
      type: "button", class: "quiet icon", id: `remove-${k}`, "aria-label": `Remove layer ${k + 1}`,
      onclick: () => change(hidden.filter((_, i) => i !== k), "add-layer"),
    }, "×"));
  fill(place, ...hidden.map(line), hidden.length ? null : make("li", { class: "note" }, "No hidden layer: a linear model."));
}

function number(id, label, unit, value, range, step, change) {
  const input = make("input", {
    type: "number", id, value, min: range[0], max: range[1], step: unit === "units" ? 1 : "any", inputmode: "decimal", "aria-label": label,
    onchange: () => {
      input.value = String(within(input.value, range, value, unit === "units"));
      change(Number(input.value));
    },
  });
  return make("span", { class: "unit" }, input, make("small", { "aria-hidden": "true" }, unit));
}

function choice(id, label, value, change) {
  const select = make("select", { id, "aria-label": label, onchange: () => change(select.value) },
    ...ACTIVATIONS.map((name) => make("option", { value: name, selected: name === value }, name)));
  return make("span", { class: "unit" }, select, make("small", { "aria-hidden": "true" }, "activation"));
}

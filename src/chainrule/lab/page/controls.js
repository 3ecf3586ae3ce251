/** The form of settings: shows them, and says what somebody changed. */

import { extent, mark, palette } from "./canvas.js";
import { fill, find, make, say } from "./dom.js";
import { HELP } from "./help.js";
import { showLayers } from "./layers.js";
import { LIMITS, OPTIMIZERS } from "./settings.js";
import { within } from "./share.js";
import { inferTask } from "./table.js";

const NUMBERS = { held: false, rate: false, batch: true, alpha: false, epochs: true, seed: true };
const IN_NETWORK = { hidden: "Units", activation: "Activation", dropout: "Dropout", batch_norm: "Batch norm" };

export class Controls {
  /** @param {(change: object) => void} change @param {() => any} now figures for the explanations */
  constructor(change, now) {
    this.change = change;
    this.now = now;
    fill(find("optimizer"), ...OPTIMIZERS.map((name) => make("option", { value: name }, name)));
    for (const [name, whole] of Object.entries(NUMBERS)) this.listenNumber(name, whole);
    for (const name of ["optimizer", "target"]) find(name).addEventListener("change", () => change({ [name]: find(name).value }));
    find("task").addEventListener("change", () => change({ task: find("task").value || null }));
    find("batch_norm").addEventListener("change", () => change({ batch_norm: find("batch_norm").checked }));
    find("add-layer").addEventListener("click", () => this.addLayer());
    find("controls").addEventListener("submit", (event) => event.preventDefault());
    for (const name of ["held", "optimizer", "rate", "batch", "alpha", "epochs", "seed"]) this.explain(name);
    this.explainNetwork();
  }

  listenNumber(name, whole) {
    const input = find(name);
    [input.min, input.max] = LIMITS[name].map(String);
    input.addEventListener("change", () => {
      const value = within(input.value, LIMITS[name], this.settings[name], whole);
      input.value = String(value);
      if (value !== this.settings[name]) this.change({ [name]: value });
    });
  }

  addLayer() {
    const { hidden } = this.settings;
    if (hidden.length < LIMITS.layers) this.change({ hidden: [...hidden, { ...(hidden.at(-1) ?? { units: 8, activation: "relu", dropout: 0 }) }] });
  }

  /** A button beside a control that opens its explanation below. */
  explain(name) {
    const field = find(name).closest(".field");
    const help = make("div", { class: "help", id: `help-${name}`, hidden: true });
    field.append(this.opener(name, help, "?", `What is ${field.querySelector("label").textContent}?`), help);
  }

  explainNetwork() {
    const helps = Object.keys(IN_NETWORK).map((name) => [name, make("div", { class: "help", id: `help-${name}`, hidden: true })]);
    const buttons = helps.map(([name, help]) => this.opener(name, help, IN_NETWORK[name], `What is ${IN_NETWORK[name]}?`));
    fill(find("help-network"), make("div", { class: "helps" }, make("span", { class: "note" }, "What is"), ...buttons), ...helps.map(([, help]) => help));
  }

  opener(name, help, text, label) {
    const button = make("button", {
      type: "button", class: "why", "aria-expanded": "false", "aria-controls": help.id, "aria-label": label,
      onclick: () => {
        help.hidden = !help.hidden;
        button.setAttribute("aria-expanded", String(!help.hidden));
        this.refresh();
      },
    }, text);
    return button;
  }

  /** Bring the open explanations to today's numbers. */
  refresh() {
    const now = this.now();
    for (const [name, { text, equation, now: figures }] of Object.entries(HELP)) {
      const help = find(`help-${name}`);
      if (help.hidden || !now) continue;
      if (!help.firstChild) fill(help, make("span", {}, text), make("p", { class: "equation" }, equation), make("p", { class: "today" }));
      say(help.querySelector(".today"), figures(now));
    }
  }

  /** @param {import("./settings.js").Settings} settings @param {any} table @param {any} data */
  show(settings, table, data) {
    this.settings = settings;
    for (const name of Object.keys(NUMBERS)) find(name).value = String(settings[name]);
    find("held").closest(".field").hidden = Boolean(data.server);
    find("optimizer").value = settings.optimizer;
    find("batch_norm").checked = settings.batch_norm;
    find("add-layer").disabled = settings.hidden.length >= LIMITS.layers;
    const focus = document.activeElement?.id;
    showLayers(find("layers"), settings.hidden, (hidden, next) => {
      this.change({ hidden });
      if (next) find(next).focus();
    });
    if (focus && document.activeElement?.id !== focus) find(focus)?.focus();
    for (const radio of document.querySelectorAll('input[name="toy"]')) radio.checked = radio.value === settings.source;
    this.showTable(settings, table, data);
    this.refresh();
  }

  showTable(settings, table, data) {
    const file = settings.source === "file" && table;
    find("table").hidden = !file;
    if (!file) return;
    fill(find("target"), ...table.columns.map((column) => make("option", { value: column.name, selected: column.name === data.target }, column.name)));
    const text = table.columns.find((column) => column.name === data.target).kind === "text";
    find("task").value = settings.task ?? "";
    find("task").disabled = text;
    const usual = inferTask(table.columns.find((column) => column.name === data.target));
    find("task").options[0].textContent = usual === "regression" ? "values (as they look)" : "classes (as they look)";
  }
}

/** The small pictures of the data sets, as a group of radio buttons. */
export function showToys(toys, change) {
  const tile = ([name, toy]) => {
    const radio = make("input", { type: "radio", name: "toy", value: name, title: toy.hint, onchange: () => change({ source: name, file: "", target: "", task: null }) });
    return make("label", { class: "toy" }, radio, make("canvas", { width: 96, height: 96, "aria-hidden": "true" }), make("span", {}, toy.label));
  };
  fill(find("toys"), ...Object.entries(toys).map(tile));
  drawToys(toys);
}

/** Draw them in the colors of the present scheme. */
export function drawToys(toys) {
  const colors = palette();
  const pictures = document.querySelectorAll("#toys canvas");
  Object.values(toys).forEach((toy, k) => {
    const context = pictures[k].getContext("2d");
    context.clearRect(0, 0, 96, 96);
    const width = toy.columns.length;
    const xs = toy.y.map((_, i) => toy.X[i * width]);
    const ys = width > 1 ? toy.y.map((_, i) => toy.X[i * width + 1]) : toy.y;
    const [[left, right], [low, high]] = [extent(xs), extent(ys)];
    const labels = [...new Set(toy.y)].sort();
    toy.y.forEach((y, i) => {
      const kind = toy.task === "classification" ? labels.indexOf(y) : 0;
      context.fillStyle = colors[`s${kind % 8}`];
      mark(context, 10 + (76 * (xs[i] - left)) / (right - left), 86 - (76 * (ys[i] - low)) / (high - low), 2, 0);
      context.fill();
    });
  });
}

/** Settings to the fragment of a link and back; whatever a stranger's link holds is brought into the allowed range. */

import { ACTIVATIONS, LIMITS, OPTIMIZERS, USUAL } from "./settings.js";

const NUMBERS = { held: "held", rate: "rate", batch: "batch", alpha: "l2", seed: "seed", epochs: "epochs" };
const MOST_STEPS = 1e6;
const WHOLE = new Set(["batch", "seed", "epochs"]);

/**
 * The fragment that restores a run: its settings, the epoch that it has reached, and the step in it.
 * @param {import("./settings.js").Settings} settings
 */
export function toFragment(settings, epoch = 0, step = 0) {
  const words = new URLSearchParams();
  words.set("data", settings.source);
  if (settings.source === "file") words.set("file", settings.file);
  if (settings.source === "file" && settings.target) words.set("target", settings.target);
  if (settings.task) words.set("task", settings.task);
  words.set("layers", settings.hidden.map(({ units, activation, dropout }) => `${units}.${activation}.${dropout}`).join("~"));
  if (settings.batch_norm) words.set("norm", "1");
  words.set("optimizer", settings.optimizer);
  for (const [name, word] of Object.entries(NUMBERS)) words.set(word, String(settings[name]));
  if (epoch) words.set("at", String(epoch));
  if (step) words.set("step", String(step));
  return words.toString();
}

/**
 * Settings from a fragment; anything missing or wrong is as usual.
 * @param {string} fragment @param {string[]} toys known data sets
 * @returns {{settings: import("./settings.js").Settings, epoch: number, step: number}}
 */
export function fromFragment(fragment, toys) {
  const words = new URLSearchParams(fragment.replace(/^#/, ""));
  const settings = { ...USUAL };
  const source = words.get("data");
  if (source !== null && (source === "file" || toys.includes(source))) settings.source = source;
  if (settings.source === "file") {
    settings.file = (words.get("file") ?? "").slice(0, 200);
    settings.target = (words.get("target") ?? "").slice(0, 200);
  }
  if (["classification", "regression"].includes(words.get("task"))) settings.task = words.get("task");
  if (words.has("layers")) settings.hidden = layersOf(words.get("layers"));
  settings.batch_norm = words.get("norm") === "1";
  if (OPTIMIZERS.includes(words.get("optimizer"))) settings.optimizer = words.get("optimizer");
  for (const [name, word] of Object.entries(NUMBERS)) {
    settings[name] = within(words.get(word), LIMITS[name], USUAL[name], WHOLE.has(name));
  }
  const [epoch, step] = [["at", LIMITS.epochs[1]], ["step", MOST_STEPS]].map(([name, most]) => within(words.get(name), [0, most], 0, true));
  return { settings: Object.freeze(settings), epoch, step };
}

/** A number in its range, or the usual one if it is none. */
export function within(text, [low, high], usual, whole = false) {
  const value = Number(text);
  if (text === null || String(text).trim() === "" || !Number.isFinite(value)) return usual;
  return Math.min(Math.max(whole ? Math.round(value) : value, low), high);
}

function layersOf(text) {
  if (!text) return [];
  return text.split("~").slice(0, LIMITS.layers).map((layer) => {
    const [units, activation, ...dropout] = layer.split(".");
    return {
      units: within(units, LIMITS.units, 8, true),
      activation: ACTIVATIONS.includes(activation) ? activation : "relu",
      dropout: within(dropout.join("."), LIMITS.dropout, 0),
    };
  });
}

const MOST_PARTS = 12;

/**
 * A run with its branches as one fragment: each part is trained up to its epoch, then the next one branches from there.
 * @param {{settings: import("./settings.js").Settings, epoch: number, step: number}[]} parts
 */
export function toLink(parts) {
  const [first, ...rest] = parts.map(({ settings, epoch, step }) => toFragment(settings, epoch, step));
  const words = new URLSearchParams(first);
  for (const part of rest) words.append("then", part);
  return words.toString();
}

/** The parts of a link. @param {string} fragment @param {string[]} toys */
export function fromLink(fragment, toys) {
  const first = fromFragment(fragment, toys);
  const rest = new URLSearchParams(fragment.replace(/^#/, "")).getAll("then").slice(0, MOST_PARTS);
  const rows = ({ source, file, target, task, held, seed }) => ({ source, file, target, task, held, seed });
  return [first, ...rest.map((part) => fromFragment(part, toys))].map((part) => ({
    ...part, settings: Object.freeze({ ...part.settings, ...rows(first.settings) }),
  }));
}

/** The same training in Python and on the command line: true options only, and nothing where there is none. */

import { plain } from "./figures.js";

/** @typedef {import("./settings.js").Settings} Settings */

const one = (values) => new Set(values).size === 1;
const listed = (values) => `[${values.join(", ")}]`;

/**
 * Python that trains the same network on the same rows.
 * @param {Settings} settings
 * @param {import("./table.js").Data} data
 * @param {{load: string|null, file: string}} source a built-in name, or the file that the page offers to save
 */
export function pythonOf(settings, data, source) {
  const classes = data.classes !== null;
  const name = classes ? "NetClassifier" : "NetRegressor";
  const lines = [`from chainrule import ${name}`, "from chainrule.data import load, split", ""];
  const loaded = source.load ? `load("${source.load}")` : `load(${quoted(source.file)}, target=${quoted(data.target)}${taskOf(settings, ", task=")})`;
  lines.push(`data = ${loaded}`);
  const held = settings.held > 0;
  if (held) {
    const stratify = classes ? ", stratify=True" : "";
    lines.push(`train, held = split(data.y, ${plain(settings.held)}, seed=${settings.seed}${stratify}, part=1)`);
  }
  lines.push(`model = ${name}(`, ...argumentsOf(settings, held).map((line) => `    ${line},`), ")");
  lines.push(held ? "model.fit(data.X[train], data.y[train], X_val=data.X[held], y_val=data.y[held])" : "model.fit(data.X, data.y)");
  lines.push("print(model.epochs_[0].train_loss, model.epochs_[-1].train_loss)");
  return `${lines.join("\n")}\n`;
}

function argumentsOf(settings, held) {
  const widths = settings.hidden.map((layer) => layer.units);
  const names = settings.hidden.map((layer) => layer.activation);
  const shares = settings.hidden.map((layer) => layer.dropout);
  const lines = [`(${widths.join(", ")}${widths.length === 1 ? "," : ""})`];
  if (names.length) lines.push(`activation=${one(names) ? `"${names[0]}"` : listed(names.map((each) => `"${each}"`))}`);
  if (settings.batch_norm && names.length) lines.push("batch_norm=True");
  if (shares.some(Boolean)) lines.push(`dropout=${one(shares) ? plain(shares[0]) : listed(shares.map(plain))}`);
  lines.push(`optimizer="${settings.optimizer}"`, `learning_rate_init=${plain(settings.rate)}`, `batch_size=${settings.batch}`);
  lines.push(`max_iter=${settings.epochs}`);
  if (settings.alpha) lines.push(`alpha=${plain(settings.alpha)}`);
  if (held) lines.push("early_stopping=True");
  lines.push("n_iter_no_change=None", 'dtype="float32"', `random_state=${settings.seed}`);
  return lines;
}

/**
 * The command that does the same, or why there is none.
 * @returns {{command: string|null, reason: string}}
 */
export function commandOf(settings, data, source) {
  const names = settings.hidden.map((layer) => layer.activation);
  const shares = settings.hidden.map((layer) => layer.dropout);
  if (names.length && !one(names)) return { command: null, reason: "The command line takes one activation for all layers; use Python." };
  if (names.length && !one(shares)) return { command: null, reason: "The command line takes one dropout rate for all layers; use Python." };
  const words = [`chainrule train ${source.load ?? shell(source.file)}`];
  if (!source.load) words.push(`--target ${shell(data.target)}${settings.task ? ` --task ${settings.task}` : ""}`);
  words.push(`--hidden ${settings.hidden.map((layer) => layer.units).join(",") || "none"}`);
  if (names.length) words.push(`--activation ${names[0]}`);
  if (settings.batch_norm && names.length) words.push("--batch-norm");
  if (names.length && shares[0]) words.push(`--dropout ${plain(shares[0])}`);
  words.push(`--optimizer ${settings.optimizer}`, `--lr ${plain(settings.rate)}`, `--batch-size ${settings.batch}`);
  if (settings.alpha) words.push(`--alpha ${plain(settings.alpha)}`);
  words.push(`--epochs ${settings.epochs} --patience 0`, `--validation-fraction ${plain(settings.held)} --test-fraction 0`);
  words.push(`--seed ${settings.seed}`);
  return { command: words.join(" \\\n  "), reason: "" };
}

const taskOf = (settings, before) => (settings.task ? `${before}"${settings.task}"` : "");

/** Text as a Python string. */
const quoted = (text) => JSON.stringify(text);

/** Text as one word of a shell. @param {string} text */
export function shell(text) {
  return /^[\w@%+=:,./-]+$/.test(text) && !text.startsWith("-") ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}

/** A table and a choice of target to what a trainer takes; what is left out is counted and said. */

import { count, counted } from "./figures.js";
import { split } from "./stream.js";

export const MOST_CLASSES = 20;
const LAST_CODE = 26;
const USUAL_TARGETS = ["target", "class", "label", "y", "species", "outcome", "diagnosis"];

/** @typedef {import("./csv.js").Table} Table */
/**
 * @typedef {{columns: string[], target: string, X: Float64Array, y: Float64Array, classes: (string|number)[]|null,
 *   train: Int32Array, validation: Int32Array, task: "binary"|"multiclass"|"regression"}} Data
 */

/** The column to predict if nobody chose one: by its name, else the last. @param {Table} table */
export function usualTarget(table) {
  const named = table.columns.find((column) => USUAL_TARGETS.includes(column.name.toLowerCase()));
  return (named ?? table.columns.at(-1)).name;
}

/** Classes or values, by the rule of Python's tables: text and few whole numbers are classes. */
export function inferTask(column) {
  if (column.kind === "text") return "classification";
  const known = column.values.filter((value) => !Number.isNaN(value));
  if (known.some((value) => !Number.isInteger(value))) return "regression";
  const distinct = [...new Set(known)].sort((a, b) => a - b);
  if (distinct.length < 2) return "regression";
  const codes = [0, 1].includes(distinct[0]) && distinct.at(-1) - distinct[0] < LAST_CODE;
  return distinct.length <= MOST_CLASSES || codes ? "classification" : "regression";
}

/**
 * Rows without gaps, and what was left out, as sentences.
 * @param {Table} table
 * @param {string} target
 * @param {"classification"|"regression"|null} task
 * @param {number} held share of the rows held out
 * @param {number} seed
 * @returns {{data: Data, notes: string[]}}
 */
export function dataOf(table, target, task, held, seed) {
  const goal = table.columns.find((column) => column.name === target);
  if (!goal) throw new Error(`The table has no column ${target}.`);
  const kind = task ?? inferTask(goal);
  if (kind === "regression" && goal.kind === "text") throw new Error(`${target} holds text, so it is learned as classes.`);
  const { inputs, notes } = usableInputs(table, goal);
  if (!inputs.length) throw new Error("No column of numbers is left to predict from.");
  const rows = wholeRows(table, [...inputs, goal]);
  if (rows.length < table.rows) notes.push(`${counted(table.rows - rows.length, "row")} left out: they have gaps.`);
  if (rows.length < 4) throw new Error(`Only ${counted(rows.length, "row")} without gaps. A training needs at least four.`);
  const X = new Float64Array(rows.length * inputs.length);
  rows.forEach((row, i) => inputs.forEach((column, k) => (X[i * inputs.length + k] = column.values[row])));
  const { y, classes } = kind === "regression" ? valuesOf(goal, rows) : classesOf(goal, rows);
  const parts = split(rows.length, classes ? y : null, held, seed);
  const told = !classes ? "regression" : classes.length === 2 ? "binary" : "multiclass";
  return { data: { columns: inputs.map((column) => column.name), target, X, y, classes, ...parts, task: told }, notes };
}

/** Columns to predict from: numbers, and not mostly gaps. */
function usableInputs(table, goal) {
  const others = table.columns.filter((column) => column !== goal);
  const text = others.filter((column) => column.kind === "text");
  const empty = others.filter((column) => column.kind === "number" && column.gaps > table.rows / 2);
  const notes = [];
  if (text.length) notes.push(`${counted(text.length, "column")} of text left out: ${listed(text)}.`);
  if (empty.length) notes.push(`${counted(empty.length, "column")} left out, mostly gaps: ${listed(empty)}.`);
  return { inputs: others.filter((column) => !text.includes(column) && !empty.includes(column)), notes };
}

function listed(columns) {
  const names = columns.slice(0, 5).map((column) => column.name);
  return columns.length > 5 ? `${names.join(", ")} and ${count(columns.length - 5)} more` : names.join(", ");
}

function wholeRows(table, columns) {
  const whole = [];
  for (let i = 0; i < table.rows; i++) {
    const known = ({ kind, values }) => (kind === "number" ? !Number.isNaN(values[i]) : values[i] !== "");
    if (columns.every(known)) whole.push(i);
  }
  return whole;
}

function valuesOf(goal, rows) {
  const y = Float64Array.from(rows, (row) => goal.values[row]);
  if (y.every((value) => value === y[0])) throw new Error(`${goal.name} is ${y[0]} in every row: nothing to learn.`);
  return { y, classes: null };
}

function classesOf(goal, rows) {
  const seen = new Set(rows.map((row) => goal.values[row]));
  const classes = goal.kind === "number" ? [...seen].sort((a, b) => a - b) : [...seen].sort(byCodePoints);
  if (classes.length < 2) throw new Error(`${goal.name} has one class: nothing to tell apart.`);
  if (classes.length > 50) {
    throw new Error(`${goal.name} has ${count(classes.length)} different values, too many for classes. Choose another column.`);
  }
  const number = new Map(classes.map((label, k) => [label, k]));
  return { y: Float64Array.from(rows, (row) => number.get(goal.values[row])), classes };
}

function byCodePoints(a, b) {
  const [left, right] = [[...a], [...b]];
  const at = left.findIndex((sign, k) => sign !== right[k]);
  if (at < 0) return left.length - right.length;
  return at < right.length ? left[at].codePointAt(0) - right[at].codePointAt(0) : 1;
}

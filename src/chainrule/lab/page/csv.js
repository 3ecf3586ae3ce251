/** Text of a file to a table: cells, then columns with kinds. Nothing here knows what is learned. */

import { counted } from "./figures.js";

export const MOST_ROWS = 100_000;
export const MOST_COLUMNS = 200;
const SEPARATORS = [",", ";", "\t"];
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const DECIMAL_COMMA = /^[+-]?\d*,\d+([eE][+-]?\d+)?$/;
const GAPS = new Set(["", "na", "n/a", "nan", "null", "none", "?", "#n/a", "missing"]);

/** @typedef {{name: string, kind: "number"|"text", values: Float64Array|string[], gaps: number}} Column */
/** @typedef {{name: string, columns: Column[], rows: number, notes: string[]}} Table */

/** Whether a cell says that its value is not known. @param {string} cell */
export const isGap = (cell) => GAPS.has(cell.toLowerCase());

/**
 * Read a table; raise a sentence for people where there is none.
 * @param {string} text
 * @param {string} name
 * @returns {Table}
 */
export function readTable(text, name) {
  const clean = text.replace(/^\ufeff/, "");
  if (clean.includes("\0")) throw new Error(`${name} is not a text file. Save the table as CSV.`);
  const separator = separatorOf(clean);
  const { records, open } = cells(clean, separator, MOST_ROWS + 1);
  const notes = [];
  if (open) notes.push("A quote is opened and never closed, so the last cell may hold several lines.");
  const width = widthOf(records);
  const whole = records.filter((record) => record.length === width);
  if (whole.length < records.length) {
    notes.push(`${counted(records.length - whole.length, "line")} left out: not ${counted(width, "cell")} long.`);
  }
  const named = hasHeader(whole);
  const names = unique(named ? whole[0] : whole[0]?.map((_, k) => `x${k + 1}`) ?? []);
  const rows = named ? whole.slice(1) : whole;
  if (!named && rows.length) notes.push("There is no line with names, so the columns are called x1, x2, ...");
  if (rows.length < 4) throw new Error(`${name} holds ${counted(rows.length, "row")}. A table needs at least four.`);
  if (width < 2) throw new Error(`${name} has one column. A table needs a column to predict and one to predict it from.`);
  if (width > MOST_COLUMNS) throw new Error(`${name} has ${width} columns. The page takes at most ${MOST_COLUMNS}.`);
  if (rows.length >= MOST_ROWS) notes.push(`The page takes ${counted(MOST_ROWS, "row")}; any further rows are left out.`);
  const comma = separator !== ",";
  return { name, columns: names.map((column, k) => columnOf(column, rows, k, comma)), rows: rows.length, notes };
}

/** The separator that gives the first lines the same number of cells, and most of them. */
function separatorOf(text) {
  const head = text.slice(0, 20_000);
  const score = (separator) => {
    const lengths = cells(head, separator, 20).records.map((record) => record.length);
    const width = lengths[0] ?? 1;
    return width < 2 ? 0 : lengths.filter((length) => length === width).length * 1000 + Math.min(width, 999);
  };
  return SEPARATORS.reduce((best, each) => (score(each) > score(best) ? each : best));
}

/** Records of cells, by the rules of quotes: "" inside a quoted cell is one quote. Empty lines are none. */
function cells(text, separator, most) {
  const records = [];
  let record = [];
  let at = 0;
  let open = false;
  while (at < text.length && records.length < most) {
    let cell;
    if (text[at] === '"') {
      let end = at + 1;
      while (end < text.length && (text[end] !== '"' || text[end + 1] === '"')) end += text[end] === '"' ? 2 : 1;
      open = end >= text.length;
      cell = text.slice(at + 1, end).replaceAll('""', '"');
      at = end + 1;
      while (at < text.length && text[at] !== separator && text[at] !== "\n") at += 1;
    } else {
      const start = at;
      while (at < text.length && text[at] !== separator && text[at] !== "\n") at += 1;
      cell = text.slice(start, at);
    }
    record.push(cell.trim());
    const ends = at >= text.length || text[at] === "\n";
    at += 1;
    if (ends) {
      if (record.length > 1 || record[0] !== "") records.push(record);
      record = [];
    }
  }
  if (record.length) records.push([...record, ""]);
  return { records, open };
}

/** The most frequent number of cells. */
function widthOf(records) {
  const seen = new Map();
  for (const { length } of records) seen.set(length, (seen.get(length) ?? 0) + 1);
  return [...seen].reduce((best, each) => (each[1] > best[1] ? each : best), [0, 0])[0];
}

/** The first line has names if it holds no number, while a column below holds some; or if all is text. */
function hasHeader(records) {
  if (!records.length) return false;
  const numeric = (cell) => NUMBER.test(cell) || DECIMAL_COMMA.test(cell);
  return !records[0].some((cell) => numeric(cell) || cell === "");
}

function unique(names) {
  const seen = new Set();
  return names.map((name, k) => {
    let free = name || `x${k + 1}`;
    for (let copy = 2; seen.has(free); copy++) free = `${name}_${copy}`;
    seen.add(free);
    return free;
  });
}

/** A column of numbers if every cell that is no gap is one; NaN stands for a gap, "" in a column of text. */
function columnOf(name, rows, k, comma) {
  const values = new Float64Array(rows.length);
  let gaps = 0;
  let numbers = true;
  for (let i = 0; i < rows.length; i++) {
    const cell = rows[i][k];
    if (isGap(cell)) {
      values[i] = NaN;
      gaps += 1;
    } else if (numbers) {
      const text = comma && DECIMAL_COMMA.test(cell) ? cell.replace(",", ".") : cell;
      numbers = NUMBER.test(text) && Number.isFinite(Number(text));
      values[i] = Number(text);
    }
  }
  if (numbers && gaps < rows.length) return { name, kind: "number", values, gaps };
  return { name, kind: "text", values: rows.map((row) => (isGap(row[k]) ? "" : row[k])), gaps };
}

/** Rows of numbers and a target as CSV, so that Python can read what the page trains on. */
export function writeTable(columns, target, X, y, classes) {
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [[...columns, target].map(quoted).join(",")];
  for (let i = 0; i < y.length; i++) {
    const row = Array.from(X.subarray(i * columns.length, (i + 1) * columns.length), String);
    lines.push([...row, classes ? quoted(String(classes[y[i]])) : String(y[i])].join(","));
  }
  return `${lines.join("\n")}\n`;
}

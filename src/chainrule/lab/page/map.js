/** What the network answers, drawn: over two columns as a map, over one as a line, for values against the truth. */

import { axes } from "./axes.js";
import { extent, mark, padded, palette, polyline, rgb } from "./canvas.js";

export const GRID = 96;
const MOST_POINTS = 2000;
const LARGE = 20_000;

/** Views that suit the data, by name. @param {import("./table.js").Data} data @returns {Record<string, string>} */
export function viewsOf(data) {
  if (data.classes) return { map: "Decision map" };
  const fits = { fit: "Predicted against true", residuals: "Residuals" };
  return data.columns.length === 1 ? { line: "Fitted line", ...fits } : { map: "Map of values", ...fits };
}

/** Ranges, means and drawn rows of a data set: computed once. @param {import("./table.js").Data} data */
export function plan(data) {
  const width = data.columns.length;
  const column = (k) => Float64Array.from(data.y, (_, i) => data.X[i * width + k]);
  const columns = data.columns.map((_, k) => column(k));
  const means = columns.map((values) => values.reduce((sum, value) => sum + value, 0) / values.length);
  const rows = (part) => Array.from(part).filter((_, i) => i % Math.ceil(part.length / MOST_POINTS) === 0);
  const ranges = columns.map((values) => padded(...extent(values)));
  return { columns, means, ranges, train: rows(data.train), validation: rows(data.validation), y: padded(...extent(data.y)) };
}

/** Cells along a side of the map: fewer where a network is large, since each answer takes longer. @param {number} parameters */
export const cellsOf = (parameters) => (parameters > LARGE ? GRID / 2 : GRID);

/**
 * Ask the trainer what the picture needs.
 * @param {(X: Float64Array, rows: number, few?: {columns: number[], base: Float64Array}) => Promise<Float32Array>} outputs
 * @param {number} cells along a side of the map
 */
export async function answers(outputs, data, known, view, [first, second], cells = GRID) {
  if (view === "map") {
    const { X, ...few } = gridRows(known, first, second, cells);
    return outputs(X, cells * cells, few);
  }
  if (view === "line") return outputs(lineRows(known), 2 * GRID);
  const rows = [...known.train, ...known.validation];
  const width = data.columns.length;
  const X = new Float64Array(rows.length * width);
  rows.forEach((row, i) => X.set(data.X.subarray(row * width, (row + 1) * width), i * width));
  return outputs(X, rows.length);
}

/** The rows of the map: two columns run over their ranges, the others stay at their means and are named once, as `base`. */
export function gridRows(known, first, second, cells) {
  const step = (range, i) => range[0] + ((i + 0.5) / cells) * (range[1] - range[0]);
  const columns = first === second ? [second] : [first, second];
  const X = new Float64Array(cells * cells * columns.length);
  for (let i = 0; i < cells * cells; i++) {
    const pair = [step(known.ranges[first], i % cells), step(known.ranges[second], cells - 1 - Math.floor(i / cells))];
    X.set(pair.slice(-columns.length), i * columns.length);
  }
  return { X, columns, base: Float64Array.from(known.means) };
}

function lineRows(known) {
  const [low, high] = known.ranges[0];
  return Float64Array.from({ length: 2 * GRID }, (_, i) => low + (i / (2 * GRID - 1)) * (high - low));
}

/**
 * Draw a picture from answers that were asked for it.
 * @returns {{rowAt: (px: number, py: number) => number|null}} the drawn row nearest to a place
 */
export function drawMap(canvas, data, known, view, pair, answer, row) {
  const colors = palette();
  const [first, second] = pair;
  if (view === "map") return drawGrid(canvas, data, known, first, second, answer, row, colors);
  if (view === "line") return drawLine(canvas, data, known, answer, row, colors);
  return drawAgainst(canvas, data, known, view === "residuals", answer, row, colors);
}

function drawGrid(canvas, data, known, first, second, answer, row, colors) {
  const names = [data.columns[first], data.columns[second] ?? ""];
  const at = axes(canvas, { x: known.ranges[first], y: known.ranges[second], names, ratio: 0.86, grid: false }, colors);
  const { context } = at;
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(gridImage(data, known, answer, colors), at.left, at.top, at.right - at.left, at.bottom - at.top);
  context.strokeStyle = colors.edge;
  context.strokeRect(at.left + 0.5, at.top + 0.5, at.right - at.left - 1, at.bottom - at.top - 1);
  const place = (i) => [at.x(known.columns[first][i]), at.y(known.columns[second][i])];
  const still = rowsDrawn(canvas, [data, first, second, row, colors], (on) => points(on, data, known, place, row, colors));
  context.drawImage(still.canvas, 0, 0, canvas.width / still.scale, canvas.height / still.scale);
  return still.found;
}

/** The rows as they were drawn last, since they stay where they are while the map behind them changes. */
const STILL = { key: [], scale: 1, canvas: document.createElement("canvas"), found: null };

function rowsDrawn({ width, height }, what, draw) {
  const key = [width, height, window.devicePixelRatio, ...what];
  if (key.some((each, i) => each !== STILL.key[i])) {
    const scale = Math.min(window.devicePixelRatio || 1, 3);
    Object.assign(STILL.canvas, { width, height });
    const context = STILL.canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    Object.assign(STILL, { key, scale, found: draw(context) });
  }
  return STILL;
}

/** The map as a small picture; strength of color is certainty. */
function gridImage(data, known, answer, colors) {
  const small = document.createElement("canvas");
  const outputs = data.classes?.length > 2 ? data.classes.length : 1;
  const cells = Math.round(Math.sqrt(answer.length / outputs));
  small.width = cells;
  small.height = cells;
  const picture = new ImageData(cells, cells);
  const shade = data.classes ? classShade(data.classes.length, colors) : valueShade(known.y, colors);
  for (let i = 0; i < cells * cells; i++) shade(picture.data, answer, i, outputs);
  small.getContext("2d").putImageData(picture, 0, 0);
  return small;
}

/** Each class's color in proportion to its lead over chance, on paper. */
function classShade(classes, colors) {
  const paper = rgb(colors.paper);
  const inks = Array.from({ length: classes }, (_, k) => rgb(colors[`s${k % 8}`]));
  const chance = 1 / classes;
  return (pixels, answer, i, outputs) => {
    const of = (k) => (outputs === 1 ? (k ? answer[i] : 1 - answer[i]) : answer[i * outputs + k]);
    let best = 0;
    for (let k = 1; k < classes; k++) if (of(k) > of(best)) best = k;
    const lead = (of(best) - chance) / (1 - chance);
    paint(pixels, i, paper, inks[best], Number.isFinite(lead) ? 0.1 + 0.5 * Math.max(lead, 0) : NaN);
  };
}

/** Low values in one color, high ones in another, paper between. */
function valueShade([low, high], colors) {
  const [paper, below, above] = [colors.paper, colors.s1, colors.s0].map(rgb);
  return (pixels, answer, i) => {
    const t = Math.min(Math.max((2 * (answer[i] - low)) / (high - low) - 1, -1), 1);
    paint(pixels, i, paper, t < 0 ? below : above, Number.isFinite(answer[i]) ? 0.75 * Math.abs(t) : NaN);
  };
}

/** One pixel between paper and ink; gray where there is no answer. */
function paint(pixels, i, paper, ink, strength) {
  for (let c = 0; c < 3; c++) pixels[4 * i + c] = strength >= 0 ? paper[c] + (ink[c] - paper[c]) * strength : 128;
  pixels[4 * i + 3] = 255;
}

function drawLine(canvas, data, known, answer, row, colors) {
  const y = known.y;
  const at = axes(canvas, { x: known.ranges[0], y, names: [data.columns[0], data.target], ratio: 0.86 }, colors);
  const place = (i) => [at.x(known.columns[0][i]), at.y(data.y[i])];
  const found = points(at.context, data, known, place, row, colors);
  at.context.save();
  at.context.beginPath();
  at.context.rect(at.left, at.top, at.right - at.left, at.bottom - at.top);
  at.context.clip();
  at.context.strokeStyle = colors.s1;
  at.context.lineWidth = 3;
  const xs = lineRows(known);
  polyline(at.context, Array.from(xs, (x, i) => [at.x(x), at.y(answer[i])]));
  at.context.restore();
  return found;
}

function drawAgainst(canvas, data, known, residuals, answer, row, colors) {
  const rows = [...known.train, ...known.validation];
  const given = new Map(rows.map((each, i) => [each, answer[i]]));
  const over = (each) => (residuals ? data.y[each] - given.get(each) : given.get(each));
  const far = extent(rows.map(over).map(Math.abs))[1];
  const names = residuals ? ["predicted", "true − predicted"] : [`true ${data.target}`, "predicted"];
  const x = residuals ? padded(...extent(answer)) : known.y;
  const y = residuals ? padded(-far, far) : padded(...extent([...known.y, ...answer]));
  const at = axes(canvas, { x, y, names, ratio: 0.86 }, colors);
  const place = (each) => [at.x(residuals ? given.get(each) : data.y[each]), at.y(over(each))];
  at.context.strokeStyle = colors.soft;
  at.context.setLineDash([6, 4]);
  const ends = residuals ? [[x[0], 0], [x[1], 0]] : [[x[0], x[0]], [x[1], x[1]]];
  polyline(at.context, ends.map(([a, b]) => [at.x(a), at.y(b)]));
  at.context.setLineDash([]);
  return points(at.context, data, known, place, row, colors);
}

/** All rows: training rows filled, held-out rows open; the chosen row in a ring. */
function points(context, data, known, place, row, colors) {
  const size = known.train.length > 600 ? 2.2 : known.train.length > 250 ? 3 : 3.6;
  const drawn = [];
  const one = (i, held) => {
    const [x, y] = place(i);
    if (!Number.isFinite(x) || !Number.isFinite(y)) return;
    drawn.push([x, y, i]);
    const kind = data.classes ? data.y[i] : 0;
    const color = colors[`s${kind % 8}`];
    mark(context, x, y, held ? size + 0.4 : size, kind);
    context.fillStyle = held ? colors.paper : color;
    context.strokeStyle = held ? color : colors.paper;
    context.lineWidth = held ? 1.8 : 1;
    context.fill();
    context.stroke();
  };
  known.train.forEach((i) => one(i, false));
  known.validation.forEach((i) => one(i, true));
  if (row !== null) ring(context, place(row), colors);
  return {
    rowAt(px, py) {
      const near = drawn.map(([x, y, i]) => [(x - px) ** 2 + (y - py) ** 2, i]).sort((a, b) => a[0] - b[0])[0];
      return near && near[0] < 400 ? near[1] : null;
    },
  };
}

function ring(context, [x, y], colors) {
  if (!Number.isFinite(x) || !Number.isFinite(y)) return;
  for (const [color, wide] of [[colors.paper, 4], [colors.ink, 2]]) {
    context.strokeStyle = color;
    context.lineWidth = wide;
    context.beginPath();
    context.arc(x, y, 9, 0, 2 * Math.PI);
    context.stroke();
  }
}

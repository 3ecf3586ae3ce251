/** Learning curves of all runs: training solid, held-out dashed; the present run strong, the others pale. */

import { axes } from "./axes.js";
import { extent, padded, palette, polyline } from "./canvas.js";

const MOST_POINTS = 1200;

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{runs: any[], run: any, place: number}} session
 * @param {{log: boolean, score: boolean, name: string}} view
 * @returns {{epochAt: (px: number) => number}}
 */
export function drawCurves(canvas, { runs, run, place }, view) {
  const colors = palette();
  const fields = view.score ? ["score", "validation_score"] : ["loss", "validation_loss"];
  const log = view.log && !view.score;
  const shown = runs.flatMap((each) => each.points.filter((point) => point.epoch > 0 || !view.score));
  const values = shown.flatMap((point) => fields.map((field) => point[field])).filter((v) => v !== null && Number.isFinite(v));
  const last = Math.max(10, ...runs.map((each) => each.points.at(-1).place));
  const y = log ? logRange(values) : linearRange(values, view.score);
  const at = axes(canvas, { x: [0, last], y, names: ["epoch", view.name + (log ? " (log scale)" : "")], log }, colors);
  const { context } = at;
  context.save();
  context.beginPath();
  context.rect(at.left, at.top - 2, at.right - at.left + 4, at.bottom - at.top + 4);
  context.clip();
  for (const each of [...runs.filter((other) => other !== run), run]) {
    context.strokeStyle = colors[`s${(each.id - 1) % 8}`];
    context.globalAlpha = each === run ? 1 : 0.55;
    context.lineJoin = "round";
    for (const [k, field] of fields.entries()) {
      context.lineWidth = each === run ? 2 : 1.4;
      context.setLineDash(k ? [6, 4] : []);
      polyline(context, own(each, runs).map((point) => [at.x(point.place), drawable(point[field], log) ? at.y(point[field]) : NaN]));
    }
  }
  context.restore();
  context.setLineDash([2, 3]);
  context.strokeStyle = colors.soft;
  const now = Math.round(at.x(place)) + 0.5;
  polyline(context, [[now, at.top], [now, at.bottom]]);
  context.setLineDash([]);
  return { epochAt: (px) => Math.round(at.back(px, 0)[0]) };
}

/** The points of a run that are not its origin's; of very many, as many as can be seen. */
function own(run, runs) {
  const shared = run.from && runs.some((other) => other.id === run.from.run) ? run.from.place : 0;
  const mine = run.points.filter((point) => point.place >= shared);
  const apart = Math.ceil(mine.length / MOST_POINTS);
  return apart > 1 ? mine.filter((_, i) => i % apart === 0 || i === mine.length - 1) : mine;
}

const drawable = (value, log) => value !== null && Number.isFinite(value) && (!log || value > 0);

function logRange(values) {
  const [low, high] = extent(values.filter((value) => value > 0));
  const [from, to] = padded(Math.log10(Math.max(low, 1e-12)), Math.log10(Math.max(high, 1e-12)));
  return [10 ** from, 10 ** to];
}

/** From 0 for losses; a loss that exploded does not hide the rest. Scores end at 1. */
function linearRange(values, score) {
  const [low, high] = extent(values);
  if (score) return [Math.min(padded(low, 1)[0], 0.95), 1.005];
  const sorted = [...values].sort((a, b) => a - b);
  const usual = sorted[Math.floor(sorted.length * 0.98)] ?? high;
  return [0, Math.max(Math.min(high, 4 * usual), 1e-9) * 1.06];
}

/** A frame for a picture: two scales, ticks, names. */

import { fitted, ticks } from "./canvas.js";
import { short } from "./figures.js";

/**
 * @typedef {{context: CanvasRenderingContext2D, x: (v: number) => number, y: (v: number) => number,
 *   left: number, top: number, right: number, bottom: number, back: (px: number, py: number) => [number, number]}} Axes
 */

/**
 * Draw axes and return the scales.
 * @param {HTMLCanvasElement} canvas
 * @param {{x: [number, number], y: [number, number], names: [string, string], ratio?: number, log?: boolean, grid?: boolean}} options
 * @param {Record<string, string>} colors
 * @returns {Axes}
 */
export function axes(canvas, { x, y, names, ratio = null, log = false, grid = true }, colors) {
  const { context, width, height } = fitted(canvas, ratio);
  const [left, top, right, bottom] = [46, 10, width - 16, height - 36];
  const up = log ? Math.log10 : (value) => value;
  const [low, high] = y.map(up);
  const toX = (value) => left + ((value - x[0]) / (x[1] - x[0])) * (right - left);
  const toY = (value) => bottom - ((up(value) - low) / (high - low)) * (bottom - top);
  context.lineWidth = 1;
  context.fillStyle = colors.soft;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const tick of log ? decades(low, high) : ticks(y[0], y[1])) {
    const at = Math.round(toY(tick)) + 0.5;
    if (grid) rule(context, left, at, right, at, colors.grid);
    context.fillText(short(tick), left - 6, at);
  }
  context.textBaseline = "top";
  context.textAlign = "center";
  for (const tick of ticks(x[0], x[1], width < 420 ? 4 : 6)) {
    const at = Math.round(toX(tick)) + 0.5;
    if (grid) rule(context, at, top, at, bottom, colors.grid);
    context.fillText(short(tick), at, bottom + 5);
  }
  context.fillText(names[0], (left + right) / 2, bottom + 20);
  context.save();
  context.translate(10, (top + bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.textBaseline = "middle";
  context.fillText(names[1], 0, 0);
  context.restore();
  const back = (px, py) => [
    x[0] + ((px - left) / (right - left)) * (x[1] - x[0]),
    y[0] + ((bottom - py) / (bottom - top)) * (y[1] - y[0]),
  ];
  return { context, x: toX, y: toY, left, top, right, bottom, back };
}

/** Ticks of a logarithmic scale: powers of ten, with 2 and 5 where there are few. */
function decades(low, high) {
  const factors = high - low > 2.5 ? [1] : high - low > 0.8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 8];
  const found = [];
  for (let power = Math.floor(low); power <= Math.ceil(high); power++) {
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (Math.log10(value) >= low - 1e-9 && Math.log10(value) <= high + 1e-9) found.push(value);
    }
  }
  const apart = Math.ceil(found.length / 8);
  return found.filter((_, i) => i % apart === 0);
}

function rule(context, x0, y0, x1, y1, color) {
  context.strokeStyle = color;
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

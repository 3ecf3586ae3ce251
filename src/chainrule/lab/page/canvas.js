/** Canvases in the colors of the page, sharp on every screen, with scales and axes. */

const COLORS = ["paper", "sheet", "ink", "soft", "edge", "grid", "info", "critical", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"];
let colors = null;
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (colors = null));

/** Colors of the present scheme, read once for each. @returns {Record<string, string>} */
export function palette() {
  if (!colors) {
    const style = getComputedStyle(document.documentElement);
    colors = Object.freeze(Object.fromEntries(COLORS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])));
  }
  return colors;
}

/** A color "#rrggbb" as three numbers. @param {string} hex */
export const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** Make a canvas as large as its box, in the screen's own pixels; returns a cleared context in CSS pixels. */
export function fitted(canvas, ratio = null) {
  const width = Math.max(40, Math.floor(canvas.clientWidth));
  const height = ratio ? Math.round(width * ratio) : Math.max(40, Math.floor(canvas.clientHeight));
  const scale = Math.min(window.devicePixelRatio || 1, 3);
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif';
  return { context, width, height };
}

/** About `most` round numbers between two. @returns {number[]} */
export function ticks(low, high, most = 5) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return [low];
  const raw = span / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= raw);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, k) => Number(((first + k) * step).toPrecision(12)));
}

/** A range with a margin at both sides; one value gets room around it. */
export function padded(low, high, share = 0.06) {
  const room = high > low ? (high - low) * share : Math.max(Math.abs(low), 1) * 0.5;
  return [low - room, high + room];
}

/** Smallest and largest finite value. @param {Iterable<number>} values */
export function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : [0, 1];
}

/** A line with gaps where a value is not finite. */
export function polyline(context, points) {
  context.beginPath();
  let open = false;
  for (const [x, y] of points) {
    if (!Number.isFinite(x) || !Number.isFinite(y)) open = false;
    else if (open) context.lineTo(x, y);
    else {
      context.moveTo(x, y);
      open = true;
    }
  }
  context.stroke();
}

const SHAPES = ["circle", "square", "triangle", "diamond", "cross"];

/** A mark whose shape tells the class where its color cannot. @param {number} kind */
export function mark(context, x, y, size, kind) {
  const shape = SHAPES[kind % SHAPES.length];
  context.beginPath();
  if (shape === "circle") context.arc(x, y, size, 0, 2 * Math.PI);
  else if (shape === "square") context.rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8);
  else if (shape === "triangle") path(context, [[x, y - size * 1.2], [x + size * 1.15, y + size * 0.85], [x - size * 1.15, y + size * 0.85]]);
  else if (shape === "diamond") path(context, [[x, y - size * 1.3], [x + size * 1.3, y], [x, y + size * 1.3], [x - size * 1.3, y]]);
  else {
    const arm = size * 0.45;
    const far = size * 1.2;
    path(context, [[x - arm, y - far], [x + arm, y - far], [x + arm, y - arm], [x + far, y - arm], [x + far, y + arm], [x + arm, y + arm],
      [x + arm, y + far], [x - arm, y + far], [x - arm, y + arm], [x - far, y + arm], [x - far, y - arm], [x - arm, y - arm]]);
  }
}

function path(context, corners) {
  corners.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
}

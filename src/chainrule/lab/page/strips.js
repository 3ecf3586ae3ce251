/** One strip per layer: what it puts out, its gradient, how far a step moves it, and units that are off. */

import { draw, fill, make, say } from "./dom.js";
import { percent, short } from "./figures.js";

const GUIDE = 1e-3;
const RATIO = [-6, 0];

/** Strips of a network; `show` brings them to a frame. */
export class Strips {
  /** @param {HTMLElement} place */
  constructor(place) {
    this.place = place;
    this.rows = [];
  }

  /** @param {any} frame @param {Record<string, number>} limits */
  show(frame, limits) {
    const names = frame.layers.map((layer) => `${layer.name}/${layer.units}`).join();
    if (names !== this.names) {
      this.names = names;
      this.rows = frame.layers.map((layer) => new Strip(layer));
      fill(this.place, ...this.rows.map((row) => row.node));
    }
    const most = Math.max(...frame.layers.map((layer) => layer.gradient_norm).filter(Number.isFinite), 1e-12);
    frame.layers.forEach((layer, i) => this.rows[i].show(layer, most, limits));
  }
}

class Strip {
  constructor(layer) {
    this.bars = Array.from({ length: 20 }, (_, i) => draw("rect", { x: i * 6, width: 5, y: 0, height: 0, class: "bar" }));
    this.zero = draw("line", { y1: 0, y2: 40, x1: 0, x2: 0, class: "zero" });
    this.length = draw("rect", { x: 0, y: 3, height: 8, width: 0, rx: 2, class: "bar" });
    this.needle = draw("rect", { x: 0, y: 0, height: 14, width: 4, rx: 1, class: "needle" });
    this.histogram = make("span", { class: "figure" });
    this.gradient = make("span", { class: "figure" });
    this.ratio = make("span", { class: "figure" });
    this.off = make("span", { class: "figure off" });
    this.node = make("li", { class: "strip" },
      make("div", { class: "who" }, make("b", {}, layer.name), make("span", {}, described(layer)), this.off),
      cell("outputs", draw("svg", { viewBox: "0 0 120 40", "aria-hidden": "true", class: "histogram" }, ...this.bars, this.zero), this.histogram),
      cell("gradient", draw("svg", { viewBox: "0 0 120 14", "aria-hidden": "true" }, draw("rect", { width: 120, y: 3, height: 8, rx: 2, class: "track" }), this.length), this.gradient),
      cell("step / weight", gauge(this.needle), this.ratio));
  }

  show(layer, most, limits) {
    const { counts, edges } = layer.histogram ?? { counts: [], edges: [0, 1] };
    const top = Math.max(...counts.filter(Number.isFinite), 1);
    this.bars.forEach((bar, i) => {
      const height = (38 * (counts[i] || 0)) / top;
      bar.setAttribute("y", String(40 - height));
      bar.setAttribute("height", String(height));
    });
    const zero = (120 * (0 - edges[0])) / (edges.at(-1) - edges[0]);
    const at = Number.isFinite(zero) ? zero : -1;
    this.zero.setAttribute("x1", String(at));
    this.zero.setAttribute("x2", String(at));
    this.zero.setAttribute("visibility", at >= 0 && at <= 120 ? "visible" : "hidden");
    say(this.histogram, `${brief(layer.activation_mean)} ± ${brief(layer.activation_std)}`);
    this.length.setAttribute("width", String(logPlace(layer.gradient_norm / most, [-4, 0])));
    say(this.gradient, short(layer.gradient_norm));
    const ratio = layer.update_ratio;
    const known = Number.isFinite(ratio) && ratio > 0;
    this.needle.setAttribute("x", String(known ? logPlace(ratio, RATIO) - 2 : 0));
    this.needle.setAttribute("visibility", known ? "visible" : "hidden");
    const far = known && (ratio > limits.update_high || ratio < limits.update_low);
    this.needle.setAttribute("class", far ? "needle far" : "needle");
    say(this.ratio, known ? `${short(ratio)}${far ? (ratio > GUIDE ? " high" : " low") : ""}` : "–");
    const words = [];
    if (layer.dead) words.push(`${percent(layer.dead)} dead`);
    if (layer.saturated) words.push(`${percent(layer.saturated)} saturated`);
    say(this.off, words.join(", "));
    this.off.hidden = !words.length;
    this.off.classList.toggle("bad", layer.dead >= limits.dead_warning || layer.saturated > limits.saturated_share);
  }
}

const described = (layer) => `${layer.units} ${layer.units === 1 ? "unit" : "units"}${layer.kind ? `, ${layer.kind}` : ""}`;

/** Two digits are enough beside a picture. */
const brief = (x) => short(Number.isFinite(x) ? Number(x.toPrecision(2)) : x);

const cell = (name, picture, figure) => make("div", { class: "cell" }, make("span", { class: "what" }, name), picture, figure);

const logPlace = (value, [low, high]) => (Number.isFinite(value) ? 120 : 0) * Math.min(Math.max((Math.log10(Math.max(value || 0, 1e-30)) - low) / (high - low), 0), 1);

/** A scale from 10⁻⁶ to 1 with the usual ratio marked. */
function gauge(needle) {
  const guide = logPlace(GUIDE, RATIO);
  return draw("svg", { viewBox: "0 0 120 14", "aria-hidden": "true" },
    draw("rect", { width: 120, y: 5, height: 4, rx: 2, class: "track" }),
    draw("rect", { x: guide - 20, width: 40, y: 5, height: 4, class: "usual" }),
    draw("line", { x1: guide, x2: guide, y1: 1, y2: 13, class: "guide" }),
    needle);
}

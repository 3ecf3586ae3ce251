/** Numbers as people read them. */

/** Three significant digits; powers of ten only where they are shorter. @param {number|null} x */
export function short(x) {
  if (x === null || x === undefined) return "–";
  if (!Number.isFinite(x)) return Number.isNaN(x) ? "not a number" : x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size < 1e-3 || size >= 1e5) return minus(scientific(x));
  return minus(String(Number(x.toPrecision(3))));
}

/** A number with a fixed number of places, for figures that change while one looks at them. */
export function steady(x, places = 3) {
  if (x === null || x === undefined) return "–";
  if (!Number.isFinite(x)) return short(x);
  const size = Math.abs(x);
  return size !== 0 && (size < 10 ** -places || size >= 1e5) ? minus(scientific(x)) : minus(x.toFixed(places));
}

/** A share as a percentage. @param {number|null} share */
export function percent(share) {
  if (share === null || share === undefined || !Number.isFinite(share)) return "–";
  const figure = 100 * share;
  const places = figure !== 0 && Math.abs(figure) < 10 ? (Math.abs(figure) < 0.1 ? 3 : 1) : Math.abs(figure) === 100 ? 0 : 1;
  return `${minus(String(Number(figure.toFixed(places))))} %`;
}

/** A whole number with thousands apart. @param {number} n */
export const count = (n) => GROUPED.format(n);

const GROUPED = new Intl.NumberFormat("en-US");

/** "1 row", "2 rows". @param {number} n @param {string} noun */
export const counted = (n, noun) => `${count(n)} ${noun}${n === 1 ? "" : "s"}`;

/** A number as Python and a shell read it. @param {number} x */
export const plain = (x) => String(x).replace("e+", "e");

const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";

function scientific(x) {
  const [digits, power] = x.toExponential(1).split("e");
  const raised = [...power.replace("+", "")].map((sign) => (sign === "-" ? "⁻" : SUPERSCRIPT[Number(sign)])).join("");
  return `${digits}·10${raised}`;
}

function minus(text) {
  return text.replace(/^-/, "−");
}

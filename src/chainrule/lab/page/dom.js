/** Helpers over the document. Text of a table never becomes markup: everything goes through text nodes. */

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} id @returns {any} */
export const find = (id) => document.getElementById(id);

/**
 * Make an element. A function under "on..." listens; true and false set or leave out an attribute.
 * @param {string} tag
 * @param {Record<string, any>} attributes
 * @param {...(Node|string|number|null)} children
 * @returns {any}
 */
export function make(tag, attributes = {}, ...children) {
  return dressed(document.createElement(tag), attributes, children);
}

/** Make an element of a picture. @returns {any} */
export function draw(tag, attributes = {}, ...children) {
  return dressed(document.createElementNS(SVG, tag), attributes, children);
}

/** Replace everything inside a node. */
export function fill(node, ...children) {
  node.replaceChildren(...children.filter((child) => child !== null).map(nodeOrText));
}

/** Set a text only where it differs, so that assistive technology is not told the same thing twice. */
export function say(node, text) {
  if (node.textContent === text) return;
  const { firstChild } = node;
  if (firstChild instanceof Text && firstChild === node.lastChild) firstChild.data = text;
  else node.textContent = text;
}

function dressed(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, String(value));
  }
  fill(node, ...children);
  return node;
}

function nodeOrText(child) {
  return child instanceof Node ? child : String(child);
}

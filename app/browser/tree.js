// @ts-check
/** Elements that Python describes as data (app/services/data/row_tree.py): every text is a text. */

import { loadStyle, make } from "./dom.js";
import { language, onLanguage } from "./language.js";

/** @typedef {import("./types").Tree} Tree */
/** @typedef {import("./types").Mounted<{ inside?: Record<string, Tree[]> }, object>} Mounted */

const TAGS = new Set([
  "b",
  "dd",
  "details",
  "div",
  "dl",
  "dt",
  "i",
  "li",
  "pre",
  "span",
  "summary",
  "ul",
]);

/**
 * Show trees in a component of Gradio, whose value they are, by language.
 * @param {Mounted} mounted
 */
export async function mount({ element, props, watch }) {
  await loadStyle("seen.css");
  const root = /** @type {HTMLElement} */ (element.querySelector(".seen"));
  const update = () => grow(root, props.value?.inside?.[language()] ?? []);
  watch("value", update);
  onLanguage(element, update);
  update();
}

/**
 * Show trees in the place of what is there.
 * @param {HTMLElement} place
 * @param {Tree[]} trees
 */
export function grow(place, trees) {
  place.replaceChildren(...trees.map(build));
}

/**
 * @param {Tree | string} node
 * @returns {HTMLElement | string}
 */
function build(node) {
  if (typeof node === "string") return node;
  const [tag, ...classes] = node.kind.split(".");
  if (!TAGS.has(tag)) throw new Error(`no part of a tree: ${tag}`);
  const { title, open } = node.marks;
  const element = make(/** @type {"div"} */ (tag), {}, ...node.inside.map(build));
  element.className = classes.join(" ");
  if (title) element.title = title;
  element.toggleAttribute("open", Boolean(open));
  return element;
}

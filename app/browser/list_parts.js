// @ts-check
/** The elements of a list: its filter, its table with the titles, and what stands there instead. */

import { make, setText } from "./dom.js";

/** @typedef {import("./types").ListData} Data */
/** @typedef {import("./types").ListOrder} Order */
/** @typedef {import("./types").ListView} View */

/**
 * @param {HTMLElement} element
 * @param {Data} data
 */
export function draw(element, { prefix, filtered }) {
  const input = make("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  // Its name comes with the rows.
  const filter = make("div", { id: `${prefix}filter`, class: "list-filter", hidden: true }, input);
  const note = make("p", { id: `${prefix}note`, class: "list-note", role: "status" });
  const [head, body] = [make("tr"), make("tbody")];
  const table = make("table", { hidden: true }, make("thead", {}, head), body);
  const none = make("p", { class: "list-none", hidden: true });
  const empty = {
    words: make("p"),
    begin: make("button", { type: "button", class: "list-begin" }),
    root: make("div", { id: `${prefix}none`, class: "list-empty", hidden: true }),
  };
  empty.root.append(empty.words, empty.begin);
  const scroll = make("div", { class: filtered ? "list-scroll" : "list-scroll list-whole" }, table);
  const root = /** @type {HTMLElement} */ (element.querySelector(".list"));
  root.append(filter, note, scroll, none, empty.root);
  return { filter, input, note, scroll, table, head, body, none, empty };
}

/**
 * The titles of the columns; the same elements stay while the titles do, so that a focus stays.
 * @param {HTMLElement} head
 * @param {View} view
 * @param {((column: number) => void) | undefined} sortBy  undefined where nothing is sorted
 */
export function drawTitles(head, { columns, numbers }, sortBy) {
  const texts = [...head.children].map((title) => title.textContent);
  if (JSON.stringify(texts) === JSON.stringify([...columns, ""])) return;
  const titles = columns.map((title, at) => {
    const look = { scope: "col", class: numbers.includes(at) ? "list-number" : "" };
    if (!sortBy) return make("th", look, title);
    const button = make("button", { type: "button", class: "list-sort" }, title);
    button.addEventListener("click", () => sortBy(at));
    return make("th", look, button);
  });
  head.replaceChildren(...titles, make("th"));
}

/**
 * Say by which column the rows are sorted.
 * @param {HTMLElement} head
 * @param {Order | undefined} order
 */
export function markOrder(head, order) {
  for (const [at, title] of [...head.children].entries()) {
    if (at !== order?.column) title.removeAttribute("aria-sort");
    else title.setAttribute("aria-sort", order.isDown ? "descending" : "ascending");
  }
}

/**
 * What stands there instead of rows.
 * @param {ReturnType<typeof draw>["empty"]} parts
 * @param {View} view
 * @param {boolean} isEmpty
 */
export function drawEmpty({ root, words, begin }, view, isEmpty) {
  setText(words, isEmpty ? view.empty : "");
  setText(begin, view.begin?.text ?? "");
  begin.hidden = !view.begin;
  root.hidden = !isEmpty || !view.empty;
}

/**
 * Put children into an order without moving those that stand right, so that a focus stays.
 * @param {HTMLElement} parent
 * @param {HTMLElement[]} children
 */
export function place(parent, children) {
  const all = new Set(children);
  for (const each of [...parent.children]) {
    if (!all.has(/** @type {HTMLElement} */ (each))) each.remove();
  }
  for (const [at, child] of children.entries()) {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  }
}

// @ts-check
/** The tabs of the page: which one is open, and whether the model bar stands above it. */

import { write } from "./address.js";

export const FIRST = "train"; // open where the address names no other
const page = document.documentElement;

/** @type {Set<() => void>} */
const listeners = new Set();

/** The name of the open tab, from the id of its button: "tab-train-button"; "" where there is none. */
export function openTab() {
  const button = document.querySelector("#tabs [role=tab][aria-selected=true]");
  return button?.id.split("-")[1] ?? "";
}

/**
 * Do something each time another tab is opened.
 * @param {() => void} act
 */
export function onTab(act) {
  listeners.add(act);
}

/** Another tab is open: each is read from its top. Which one it is decides, in form.css, whether
 * the model bar is seen. */
export function turn() {
  scrollTo(0, 0);
  const tab = openTab();
  page.dataset.tab = tab;
  delete page.dataset.bar;
  write("tab", tab === FIRST ? "" : tab);
  write("run", ""); // until the panel of this tab says it
  for (const act of listeners) act();
}

/** @type {Set<string>} */
const revealed = new Set();

/**
 * The components that wait for a tab's first opening, shown: as updates of Gradio's.
 * @param {string} tab
 * @param {number} count  of the components
 */
export function reveal(tab, count) {
  const update = { __type__: "update", ...(revealed.has(tab) ? {} : { visible: true }) };
  revealed.add(tab);
  return Array(count).fill(update);
}

/** Show the model bar on this tab, too, until another one is opened. */
export function showBar() {
  page.dataset.bar = "shown";
  document.getElementById("bar-form")?.scrollIntoView({ block: "center" });
}

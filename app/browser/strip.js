// @ts-check
/** The line in the head of the page about this machine: GPUs, memory, processor, disk. */

import { setText } from "./dom.js";
import { onLanguage } from "./language.js";
import { askNews, subscribe } from "./news.js";

/** @param {import("./types").Mounted<null, {}>} mounted */
export function mount({ element }) {
  const line = /** @type {HTMLElement} */ (element.querySelector("p"));
  subscribe("strip", (text) => setText(line, text));
  onLanguage(element, askNews);
}

// @ts-check
/** A press of a button of Gradio's, answered at once: updates of the button, the box below it, and its offers. */

import { language } from "./language.js";
import { readParts } from "./mount.js";

/** @param {object} changes */
const update = (changes) => ({ __type__: "update", ...changes });

/**
 * It was heard.
 * @param {string} place  of what is said
 */
export async function hear(place) {
  const { heard: words } = (await readParts())[place];
  const heard = update({ value: words[language()], visible: true });
  return [update({ interactive: false }), heard, update({ visible: false })];
}

/** It has failed: it can be pressed again. */
export function free() {
  return [update({ interactive: true }), update({ visible: false }), update({ visible: false })];
}

/**
 * Its answer is obsolete; where none is shown nothing changes, as that would lay out the page.
 * @param {string} id  the element id of the box
 */
export function forget(id) {
  const change = document.getElementById(id) ? update({ visible: false }) : update({});
  return [change, change];
}

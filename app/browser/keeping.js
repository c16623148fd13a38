// @ts-check
/** What is typed into Gradio's own boxes, kept in this browser; see app/tabs/shared/keeping.py. */

import { namesSecret, recall, store } from "./storage.js";

/** @param {string} name */
const keyOf = (name) => `tuneboard-${name}`;
/** @param {string} name */
const isBrief = (name) => name.startsWith("talk");

let isFilled = false;

/** The page has been filled: its own first values, before, were nobody's. */
export function begin() {
  isFilled = true;
}

/**
 * What is kept under these names, as the text of an object: as an update, of nothing where nothing is.
 * @param {string[]} names
 */
export function read(names) {
  const kept = names.map((name) => [name, recall(keyOf(name), isBrief(name))]);
  if (kept.some(([, text]) => text)) return JSON.stringify(Object.fromEntries(kept));
  begin();
  return { __type__: "update" };
}

/**
 * What is kept of one box; "" where that is no text.
 * @param {[string, string]} place  the name, and the key of the box
 */
export function recallOne([name, key]) {
  try {
    const value = JSON.parse(recall(keyOf(name), isBrief(name)) || "{}")?.[key];
    return typeof value === "string" ? value : "";
  } catch {
    return "";
  }
}

/**
 * Keep the values of some boxes under a name.
 * @param {string} name
 * @param {string[]} keys  of the boxes, in the order of the values
 * @param {string[]} guard  the key of the box in which anything may be typed, and what it must not
 *   name where it is kept
 * @param {unknown[]} values
 */
export function write(name, keys, [free, ...secrets], ...values) {
  if (!isFilled) return;
  const pairs = keys.map((key, place) => [key, values[place]]);
  const kept = pairs.filter(
    ([key, value]) => key !== free || !namesSecret(String(value ?? ""), secrets),
  );
  store(keyOf(name), JSON.stringify(Object.fromEntries(kept)), isBrief(name));
}

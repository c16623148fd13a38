// @ts-check
/** The address of the page says which tab, stage and run are open: a reload or a link shows the same. */

import { isSame } from "./conditions.js";

/** @typedef {import("./types").Schema} Schema */
/** @typedef {import("./types").Values} Values */

const first = new URLSearchParams(location.search);

/**
 * What the page was opened with; "" for nothing.
 * @param {string} name
 */
export const opened = (name) => first.get(name) ?? "";

/**
 * The tab that the page was opened with, as an update of Gradio's tabs.
 * @param {string[]} names  of the tabs there are
 */
export function openNamed(names) {
  const tab = opened("tab");
  return { __type__: "update", ...(names.includes(tab) ? { selected: tab } : {}) };
}

/**
 * Say in the address what is open now.
 * @param {string} name
 * @param {string} value  "" where it is what an address without it means
 */
export function write(name, value) {
  const address = new URL(location.href);
  if ((address.searchParams.get(name) ?? "") === value) return;
  if (value) address.searchParams.set(name, value);
  else address.searchParams.delete(name);
  history.replaceState(history.state, "", address);
}

/**
 * What the page was opened with for fields that have choices: of anything else, nothing.
 * @param {string[]} names
 * @param {Schema} schema
 * @returns {Values}
 */
export function openedFields(names, { fields }) {
  const pairs = names.map((name) => [name, opened(name)]);
  return Object.fromEntries(
    pairs.filter(([name, value]) => fields[name].choices.some(([choice]) => choice === value)),
  );
}

/**
 * Say in the address what these fields hold where that is not their default.
 * @param {string[]} names
 * @param {Schema} schema
 * @param {Values} values
 */
export function writeFields(names, { fields }, values) {
  for (const name of names) {
    write(name, isSame(values[name], fields[name].default) ? "" : String(values[name]));
  }
}

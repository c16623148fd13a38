// @ts-check
/** A component of Gradio gets its script, and the script what it is told: own/components.json. */

import { readJson } from "./requests.js";

/** @typedef {import("./types").Mounted<any, any, any>} Mounted */

/** @type {Promise<Record<string, object>> | undefined} */
let parts;

/** What the scripts of all components are told, read once. */
export function readParts() {
  parts ??= readJson("own/components.json");
  return parts;
}

/**
 * @param {[string, string]} part  the name of the script, and of what it is told
 * @param {Omit<Mounted, "data">} component
 */
export async function mount([script, place], component) {
  const [module, all] = await Promise.all([import(`./${script}.js`), readParts()]);
  module.mount({ ...component, data: all[place] });
}

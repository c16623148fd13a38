// @ts-check
/** A component of Gradio gets its script, and the script what it is told: own/components.json. */

import { beforeSpeaking, language } from "./language.js";
import { readJson } from "./requests.js";

/** @typedef {import("./types").Mounted<any, any, any>} Mounted */
/** @typedef {Record<string, Record<string, any>>} Parts */

/** @type {Promise<Parts> | undefined} */
let parts;

beforeSpeaking(addLanguage);

/** What the scripts of all components are told, read once. */
export function readParts() {
  parts ??= read(language());
  return parts;
}

/**
 * @param {string} name
 * @returns {Promise<Parts>}
 */
const read = (name) => readJson(`own/components.json?lang=${encodeURIComponent(name)}`);

/** Add the texts of a language to what the scripts are told. @param {string} name */
async function addLanguage(name) {
  const [known, added] = await Promise.all([readParts(), read(name)]);
  for (const [place, data] of Object.entries(added)) {
    for (const [key, value] of Object.entries(data)) {
      if (value && typeof value === "object" && name in value) {
        known[place][key] = { ...known[place][key], [name]: value[name] };
      }
    }
  }
}

/**
 * @param {[string, string]} part  the name of the script, and of what it is told
 * @param {Omit<Mounted, "data">} component
 */
export async function mount([script, place], component) {
  const [module, all] = await Promise.all([import(`./${script}.js`), readParts()]);
  module.mount({ ...component, data: all[place] });
}

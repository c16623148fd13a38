// @ts-check
/** What the server says in a language, read once and early: the forms, and the texts of Gradio's parts. */

import { beforeSpeaking, isWanted, language, likely } from "./language.js";
import { readJson } from "./requests.js";

/** @typedef {import("./types").Schema} Schema */

const TEXTS = "own/form/page";

/** @type {Map<string, Promise<any>>} By address and language. */
const answers = new Map();
const addresses = new Set([TEXTS]);

beforeSpeaking(async (name) => void (await readAll(name)));

/**
 * @param {string} address
 * @param {string} name  of the language
 */
function read(address, name) {
  addresses.add(address);
  const whole = `${address}?lang=${encodeURIComponent(name)}`;
  const answer = answers.get(whole) ?? readJson(whole);
  answers.set(whole, answer);
  return answer;
}

/**
 * The schema of a form in the page's language.
 * @param {string} address
 * @returns {Promise<Schema>}
 */
export const readSchema = (address) => read(address, language());

/**
 * The name of a language, and updates of all of Gradio's parts that have texts; of none where another
 * language was chosen meanwhile.
 * @param {string} name
 * @returns {Promise<(string | object)[]>}
 */
export async function readTexts(name) {
  const { updates } = await read(TEXTS, name);
  const isSpoken = isWanted(name);
  return [name, ...updates].map((update) => (isSpoken ? update : { __type__: "update" }));
}

/** Read the languages that the browser prefers: one of them may be chosen next. */
export function readLikely() {
  for (const name of likely()) readAll(name);
}

/** @param {string} name  of the language */
const readAll = (name) => Promise.all([...addresses].map((address) => read(address, name)));

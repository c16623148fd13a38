// @ts-check
/** The schemas of the forms, read once in each language, and before they are needed. */

import { language } from "./language.js";
import { readJson } from "./requests.js";

/** @typedef {import("./types").Schema} Schema */

/** @type {Map<string, Promise<Schema>>} By address and language. */
const schemas = new Map();

/**
 * The schema of a form in the page's language.
 * @param {string} address
 * @returns {Promise<Schema>}
 */
export function readSchema(address) {
  const whole = `${address}?lang=${encodeURIComponent(language())}`;
  const schema = schemas.get(whole) ?? readJson(whole);
  schemas.set(whole, schema);
  return schema;
}

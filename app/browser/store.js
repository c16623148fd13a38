// @ts-check
/** What was typed, kept in this browser without secrets: not what is nobody's choice but the default. */

import { isSame } from "./conditions.js";
import { namesSecret, recall, store } from "./storage.js";

/** @typedef {import("./types").Schema} Schema */
/** @typedef {import("./types").Values} Values */

/**
 * @param {string} form
 */
const keyOf = (form) => `tuneboard-form-${form}`;

/**
 * @param {string} form  its name
 * @param {Schema} schema
 * @param {Values} values
 * @param {string[]} own  the fields whose values are kept even if they are the defaults
 */
export function keep(form, schema, values, own) {
  const plain = Object.entries(values).filter(([name, value]) => {
    const field = schema.fields[name];
    if (!field || field.secret) return false;
    if (isSame(value, field.default) && !own.includes(name)) return false;
    return name !== schema.free || !namesSecret(String(value), schema.secrets);
  });
  store(keyOf(form), JSON.stringify(Object.fromEntries(plain)));
}

/**
 * What was kept of the fields that there are.
 * @param {string} form  its name
 * @param {Schema} schema
 * @returns {Values}
 */
export function restore(form, schema) {
  try {
    const kept = JSON.parse(recall(keyOf(form)) || "{}");
    return Object.fromEntries(Object.entries(kept).filter(([name]) => name in schema.fields));
  } catch {
    return {};
  }
}

/**
 * Keep whether a form is seen in its simple or its advanced mode.
 * @param {string} form  its name
 * @param {string} mode
 */
export function keepMode(form, mode) {
  store(`${keyOf(form)}-mode`, mode);
}

/**
 * @param {string} form  its name
 * @returns {string}
 */
export function restoreMode(form) {
  return recall(`${keyOf(form)}-mode`);
}

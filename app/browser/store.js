// @ts-check
/** What was typed, kept in this browser without secrets: only what differs from the defaults. */

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
 */
export function keep(form, schema, values) {
  const plain = Object.entries(values).filter(([name, value]) => {
    const field = schema.fields[name];
    if (!field || field.secret || isSame(value, field.default)) return false;
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

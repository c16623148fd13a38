// @ts-check
/** Where a field applies, and whether two values mean the same. */

/** @typedef {import("./types").Field} Field */

/**
 * A value as one text: "" and "none" are nothing, "true" is true, "8" and 8.0 are one number.
 * @param {unknown} value
 * @returns {string}
 */
function meaning(value) {
  if (value === null || value === undefined || value === "none") return "";
  if (Array.isArray(value)) return value.join(",");
  const text = String(value).trim();
  const number = Number(text);
  return text !== "" && Number.isFinite(number) ? String(number) : text;
}

/**
 * @param {unknown} one
 * @param {unknown} other
 */
export function isSame(one, other) {
  return meaning(one) === meaning(other);
}

/**
 * Whether a field applies with these values of the others.
 * @param {Field} field
 * @param {Record<string, unknown>} values
 */
export function applies(field, values) {
  return field.when.every(([name, allowed]) =>
    allowed.some((value) => isSame(value, values[name])),
  );
}

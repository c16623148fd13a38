// @ts-check
/** The rows of a list as data: kept up with what the server says has changed, filtered, sorted. */

import { language, writeTime } from "./language.js";

/** @typedef {import("./types").ListCell} Cell */
/** @typedef {import("./types").ListRow} Row */
/** @typedef {import("./types").ListOrder} Order */
/** @typedef {import("./types").ListView} View */

/**
 * The rows after an answer of the server, see app/form/list_changes.py.
 * @param {Row[]} rows
 * @param {View} view
 * @returns {Row[]}
 */
export function merge(rows, view) {
  if (!view.places) return view.rows;
  if (!view.rows.length && !view.gone.length) return rows;
  const out = new Set([...view.gone, ...view.rows.map(({ key }) => key)]);
  const stay = rows.filter(({ key }) => !out.has(key));
  const changed = new Map(view.places.map((place, at) => [place, view.rows[at]]));
  let next = 0;
  return Array.from({ length: stay.length + changed.size }, (_, at) => {
    const row = changed.get(at);
    if (row) return row;
    next += 1;
    return stay[next - 1];
  });
}

/**
 * What stands in a cell, and below that in smaller type.
 * @param {Cell} cell
 */
export function readCell({ text = "", detail = "", time }) {
  return [text, [detail, time && writeTime(time)].filter(Boolean).join(" · ")];
}

/** @type {WeakMap<Row, string>} what a filter looks at, of rows that it has looked at */
const texts = new WeakMap();

/** @param {Row} row */
function readRow(row) {
  const known = texts.get(row);
  if (known !== undefined) return known;
  const text = row.cells.flatMap(readCell).join(" ").toLowerCase();
  texts.set(row, text);
  return text;
}

/**
 * The rows that hold all of these words.
 * @param {Row[]} rows
 * @param {string} text
 */
export function filter(rows, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return rows;
  return rows.filter((row) => {
    const content = readRow(row);
    return words.every((word) => content.includes(word));
  });
}

/**
 * The rows sorted by a column: numbers before texts, and at the end what has neither.
 * @param {Row[]} rows
 * @param {Order | undefined} order  undefined leaves them as they are
 */
export function sort(rows, order) {
  if (!order) return rows;
  const { column, isDown } = order;
  const sign = isDown ? -1 : 1;
  const isNumber = rows.some(({ cells }) => cells[column]?.number !== undefined);
  const collator = new Intl.Collator(language(), { numeric: true });
  /** @param {Row} row */
  const number = (row) => row.cells[column]?.number;
  /** @param {Row} row */
  const text = (row) => row.cells[column]?.text ?? "";
  if (!isNumber) return rows.toSorted((a, b) => sign * collator.compare(text(a), text(b)));
  return rows.toSorted((a, b) => {
    const [x, y] = [number(a), number(b)];
    if (x === undefined || y === undefined)
      return Number(x === undefined) - Number(y === undefined);
    return sign * (x - y);
  });
}

// @ts-check
/** Tables whose rows change while a run goes on. */

import { make, setText } from "./dom.js";

/** @typedef {import("./run_types").Table} Table */

/**
 * Fill a table; where it has as many cells as before, only their texts are set.
 * @param {HTMLTableElement} table
 * @param {Table} content
 */
export function fillTable(table, { columns, rows }) {
  const lines = [columns, ...rows];
  const isAlike =
    table.rows.length === lines.length && table.rows[0]?.cells.length === columns.length;
  if (!isAlike) table.replaceChildren(makeHead(columns), makeBody(rows));
  lines.forEach((line, at) => {
    line.forEach((text, place) => {
      setText(table.rows[at].cells[place], text);
    });
  });
}

/** @param {string[]} columns */
function makeHead(columns) {
  return make("thead", {}, make("tr", {}, ...columns.map(() => make("th", { scope: "col" }))));
}

/** @param {string[][]} rows */
function makeBody(rows) {
  return make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(() => make("td")))));
}

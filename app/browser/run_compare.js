// @ts-check
/** Runs side by side: their losses in one picture, the arguments that differ, and their scores. */

import { loadStyle, make } from "./dom.js";
import { BLUE, GREEN, ORANGE, Plot, RED, stepAxis, trace, valueAxis } from "./plot.js";

/** @typedef {import("./types").ListPickAnswer} Answer */
/** @typedef {import("./types").ComparedTable} Table */

const COLORS = [BLUE, ORANGE, GREEN, RED, "#7c5cd6", "#8a6d1f", "#b0418f", "#5b6b7f"];
const HEIGHT = 280; // pixels; the names below it have as much more as they need
const LINE = 20; // of them

/**
 * Draw a comparison into an element, in place of another.
 * @param {HTMLElement} place
 * @param {Answer} answer
 * @param {Record<string, string>} words
 * @param {() => void} close
 */
export async function showComparison(place, answer, words, close) {
  await loadStyle("run.css");
  const { names = [], lines = [], tables = [] } = answer;
  const box = make("div", { class: "run-chart" });
  const end = make("button", { type: "button", class: "list-action" }, words.close);
  end.addEventListener("click", close);
  const traces = names.flatMap((name, at) => {
    const color = COLORS[at % COLORS.length];
    const { loss, eval_loss } = lines[at] ?? {};
    const named = `${name} · ${words["chart.eval_loss"]}`;
    const dotted = { color, width: 2, dash: "dot" };
    return [
      ...(loss ? [trace(loss, name, color)] : []),
      ...(eval_loss ? [Object.assign(trace(eval_loss, named, color, true), { line: dotted })] : []),
    ];
  });
  box.hidden = !traces.length;
  place.replaceChildren(box, ...tables.map(drawTable), end);
  if (box.hidden) return;
  new Plot(box).draw(traces, {
    height: HEIGHT + LINE * traces.length,
    margin: { l: 52, r: 10, t: 10, b: 48 + LINE * traces.length },
    legend: { orientation: "h", yref: "container", yanchor: "bottom", y: 0 },
    xaxis: stepAxis(words["chart.step"]),
    yaxis: valueAxis(words["chart.loss"]),
  });
}

/** @param {Table} table */
function drawTable({ title, empty, columns, rows }) {
  const head = make("h4", {}, title);
  if (!rows.length) return make("section", {}, head, make("p", {}, empty));
  const titles = columns.map((text) => make("th", { scope: "col" }, text));
  const body = rows.map(([name, ...cells]) => {
    const row = make("th", { scope: "row" }, name);
    return make("tr", {}, row, ...cells.map((text) => make("td", {}, text)));
  });
  const table = make("table", {}, make("tr", {}, ...titles), ...body);
  return make("section", {}, head, make("div", { class: "list-wide" }, table));
}

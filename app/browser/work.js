// @ts-check
/** Work on a data set: Start, how far it is, Stop, and what came of it. */

import { loadStyle, make, setText } from "./dom.js";
import { language, onLanguage } from "./language.js";

/** @typedef {import("./types").WorkState} State */
/** @typedef {import("./types").Mounted<State, import("./types").WorkData, object>} Mounted */
/** @typedef {import("./types").WorkItem} Item */
/** @typedef {import("./types").WorkTable} Table */

/** @type {State} */
const IDLE = { state: "idle" };

/**
 * Draw it into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount(mounted) {
  await loadStyle("list.css");
  const { element, props, data, trigger, watch } = mounted;
  const parts = draw(element, data.prefix);
  parts.start.addEventListener("click", () => trigger("start"));
  parts.stop.addEventListener("click", () => {
    parts.stop.disabled = true;
    trigger("stop");
  });
  const update = () => show(parts, props.value, data.words[language()]);
  watch("value", update);
  onLanguage(element, update);
  update();
}

/**
 * The state after another set was chosen: what was said of the one before goes, work goes on.
 * @param {State | null} state
 */
export function forget(state) {
  return [state?.state === "busy" ? state : IDLE];
}

/** The state after a start that has failed: it can be pressed again. */
export function free() {
  return [IDLE];
}

/**
 * @param {HTMLElement} element
 * @param {string} prefix
 */
function draw(element, prefix) {
  const start = make("button", { id: `${prefix}start`, type: "button", class: "work-start" });
  const stop = make("button", { id: `${prefix}stop`, type: "button", class: "list-action" });
  const bar = make("progress", { max: "1" });
  const label = make("span");
  const progress = make("div", { id: `${prefix}bar`, class: "work-bar", hidden: true }, bar, label);
  const said = make("div", { id: `${prefix}said`, class: "work-said", role: "status" });
  const found = make("table", { id: `${prefix}found`, hidden: true });
  const root = /** @type {HTMLElement} */ (element.querySelector(".list"));
  root.append(make("div", { class: "work-buttons" }, start, stop), progress, said, found);
  return { start, stop, bar, label, progress, said, found };
}

/**
 * @param {ReturnType<typeof draw>} parts
 * @param {State | null} value
 * @param {{ start: string, stop: string }} words
 */
function show(parts, value, words) {
  const isBusy = value?.state === "busy";
  const isEnded = value?.state === "ended";
  setText(parts.start, words.start);
  setText(parts.stop, words.stop);
  parts.start.disabled = isBusy;
  if (parts.stop.hidden !== !isBusy) parts.stop.disabled = false;
  parts.stop.hidden = !isBusy;
  parts.progress.hidden = !isBusy;
  if (isBusy) showProgress(parts, value.share ?? null, value.words?.[language()] ?? "");
  const report = isEnded ? value.report?.[language()] : undefined;
  const { lines = [], items = [], table } = report ?? {};
  parts.said.replaceChildren(...lines.map((line) => make("p", {}, line)));
  if (items.length) parts.said.append(make("ul", {}, ...items.map(makeItem)));
  parts.found.hidden = !table?.rows.length;
  parts.found.replaceChildren(...(table ? makeTable(table) : []));
}

/**
 * @param {{ bar: HTMLProgressElement, label: HTMLElement }} parts
 * @param {number | null} share
 * @param {string} text
 */
function showProgress({ bar, label }, share, text) {
  if (share === null) bar.removeAttribute("value");
  else bar.value = share;
  bar.setAttribute("aria-label", text);
  setText(label, text);
}

/** @param {Item} item */
function makeItem(item) {
  const example = make("pre", {}, item.example);
  const more = make("details", {}, make("summary", {}, item.summary), example);
  return make("li", {}, item.text, more);
}

/** @param {Table} table */
function makeTable(table) {
  const titles = table.columns.map((title) => make("th", { scope: "col" }, title));
  const rows = table.rows.map((cells) =>
    make("tr", {}, ...cells.map((cell) => make("td", {}, cell))),
  );
  return [make("thead", {}, make("tr", {}, ...titles)), make("tbody", {}, ...rows)];
}

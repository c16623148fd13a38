// @ts-check
/** How long the rows of a data set are in tokens: measured on request, as a chart and in words. */

import { loadStyle, make, setText } from "./dom.js";
import { language, onLanguage } from "./language.js";
import { Plot } from "./plot.js";
import { grow } from "./tree.js";

/** @typedef {import("./types").LengthsValue} Value */
/** @typedef {import("./types").LengthsData} Data */
/** @typedef {import("./types").Mounted<Value, Data, object>} Mounted */

/**
 * Draw it into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount({ element, props, data, trigger, watch }) {
  await Promise.all([loadStyle("list.css"), loadStyle("seen.css")]);
  const parts = draw(element, data.prefix);
  const plot = new Plot(parts.chart);
  parts.measure.addEventListener("click", () => {
    parts.measure.disabled = true;
    props.value = { exact: parts.exact.checked };
    trigger("measure");
  });
  const say = () => {
    const words = data.words[language()];
    setText(parts.measure, words.lengths);
    setText(parts.exactWords, words.exact);
    parts.chart.setAttribute("aria-label", words.chart);
  };
  const update = () => {
    const { words, busy } = props.value ?? {};
    if (!words) return;
    const { said = [], figure } = words[language()] ?? {};
    parts.measure.disabled = Boolean(busy);
    grow(parts.said, said);
    if (busy) return;
    parts.chart.hidden = !figure;
    if (figure) plot.draw(figure.traces, figure.layout);
  };
  watch("value", update);
  onLanguage(element, () => {
    say();
    update();
  });
  say();
}

/** The value after a measurement that has failed: it can be asked for again. */
export function free() {
  return [{ words: {} }];
}

/**
 * @param {HTMLElement} element
 * @param {string} prefix
 */
function draw(element, prefix) {
  const measure = make("button", { id: `${prefix}measure`, type: "button", class: "list-action" });
  const exact = make("input", { type: "checkbox" });
  const exactWords = make("span");
  const label = make("label", { id: `${prefix}exact`, class: "seen-check" }, exact, exactWords);
  const chart = make("div", {
    id: `${prefix}chart`,
    class: "run-chart",
    role: "img",
    hidden: true,
  });
  const said = make("div", { id: `${prefix}words`, class: "seen", role: "status" });
  const bar = make("div", { class: "seen-pages" }, measure, label);
  element.querySelector(".list")?.append(bar, chart, said);
  return { measure, exact, exactWords, chart, said };
}

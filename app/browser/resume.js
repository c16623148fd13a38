// @ts-check
/** What resuming with other arguments changes, what is wrong with that, and the button. */

import { loadStyle, make, setText } from "./dom.js";
import { arrow, language, onLanguage } from "./language.js";

/** @typedef {import("./types").Change} Change */
/** @typedef {import("./types").ResumeData} Data */
/** @typedef {import("./types").ResumeValue} Value */
/** @typedef {import("./types").Mounted<Value, Data, object>} Mounted */

/**
 * Draw it into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount({ element, props, data, trigger, watch }) {
  await loadStyle("list.css");
  const parts = draw(element, data.prefix);
  parts.button.addEventListener("click", () => {
    parts.button.disabled = true;
    trigger("resume");
  });
  const update = () => show(parts, props.value ?? {}, data.words[language()]);
  watch("value", update);
  onLanguage(element, update);
  update();
}

/**
 * @param {HTMLElement} element
 * @param {string} prefix
 */
function draw(element, prefix) {
  const said = make("div", { class: "work-said" });
  const [head, body] = [make("tr"), make("tbody")];
  const table = make("table", { id: `${prefix}-run-changes` }, make("thead", {}, head), body);
  const wrong = make("div", {
    id: `${prefix}-run-resume-problem`,
    class: "work-said",
    role: "alert",
  });
  const button = make("button", {
    id: `${prefix}-run-resume-so`,
    type: "button",
    class: "work-start",
  });
  const buttons = make("div", { class: "work-buttons" }, button);
  element.querySelector(".list")?.append(said, table, wrong, buttons);
  return { said, head, body, table, wrong, button };
}

/**
 * @param {ReturnType<typeof draw>} parts
 * @param {Value} value
 * @param {Record<string, string>} words
 */
function show(parts, { lines = [], changes = [], wrong = [], ready = false }, words) {
  parts.said.replaceChildren(...lines.map((line) => make("p", {}, line)));
  const titles = [words.name, `${words.then} ${arrow()} ${words.now}`, words.kind];
  parts.head.replaceChildren(...titles.map((title) => make("th", { scope: "col" }, title)));
  parts.body.replaceChildren(...changes.map(makeRow));
  parts.table.hidden = !changes.length;
  const problems = wrong.map((line) => make("p", { class: "list-note list-wrong" }, line));
  parts.wrong.replaceChildren(...problems);
  setText(parts.button, words.button);
  parts.button.disabled = !ready;
}

/** @param {Change} change */
function makeRow({ name, then, now, kind, tone, text }) {
  const detail = make("div", { class: "list-detail" }, text);
  const pill = make("span", { class: `list-pill list-${tone}` }, kind);
  return make(
    "tr",
    {},
    make("td", {}, make("b", {}, name), detail),
    make("td", { class: "resume-values" }, `${then} → ${now}`),
    make("td", {}, pill),
  );
}

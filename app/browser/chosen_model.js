// @ts-check
/** The model of the bar in one line, for a tab that works with it and does not show the bar. */

import { subscribe, valuesOf } from "./channel.js";
import { loadStyle, make, setText } from "./dom.js";
import { language, onLanguage } from "./language.js";
import { showBar } from "./tabs.js";

/** @typedef {{ model: string, none: string, change: string }} Words */
/** @typedef {{ form: string, words: Record<string, Words> }} Data */
/** @typedef {import("./types").Mounted<null, Data, {}>} Mounted */

/**
 * Draw the line into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount({ element, data }) {
  await loadStyle("form.css");
  const label = make("span", { class: "chosen-label" });
  const name = make("strong", { class: "chosen-name" });
  const change = make("button", { type: "button", class: "form-quiet-button" });
  const line = /** @type {HTMLElement} */ (element.querySelector(".chosen-model"));
  line.append(label, name, change);
  change.addEventListener("click", showBar);
  const draw = () => {
    const words = data.words[language()];
    setText(label, words.model);
    setText(name, String(valuesOf(data.form).model_name_or_path || words.none));
    setText(change, words.change);
  };
  subscribe(data.form, element, (news) => {
    if (news.kind === "values") draw();
  });
  onLanguage(element, draw);
  draw();
}

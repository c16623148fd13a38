// @ts-check
/** Four questions that choose a recipe: the answers, the recipe with its reason, and taking it. */

import { loadStyle, make, setText } from "./dom.js";
import { language, onLanguage } from "./language.js";

/** @typedef {import("./types").GuideData} Data */
/** @typedef {import("./types").Mounted<string, Data, {}>} Mounted */

/**
 * Draw the questions into a component of Gradio, whose value is the recipe that was taken.
 * @param {Mounted} mounted
 */
export async function mount(mounted) {
  await loadStyle("form.css");
  const { element, props, data, trigger } = mounted;
  const questions = Object.entries(data.questions).map(([name, answers]) =>
    drawQuestion(name, answers),
  );
  const title = make("summary", { class: "guide-title" });
  const name = make("strong");
  const reason = make("p");
  const take = make("button", { type: "button", class: "form-quiet-button", id: "guide-take" });
  const result = make("div", { class: "guide-result", role: "status", hidden: true });
  result.append(name, reason, take);
  const root = /** @type {HTMLDetailsElement} */ (make("details", {}, title));
  root.append(...questions.map((question) => question.root), result);
  element.querySelector(".guide")?.append(root);

  const show = () => {
    const words = data.words[language()];
    setText(title, words.title);
    setText(take, words.take);
    for (const question of questions) question.say(words);
    const way = data.ways[questions.map((question) => question.answer).join(" ")];
    result.hidden = !way;
    setText(name, way ? words[`title_${way}`] : "");
    setText(reason, way ? words[`text_${way}`] : "");
    take.value = way ?? "";
  };
  root.addEventListener("change", show);
  take.addEventListener("click", () => {
    props.value = take.value;
    trigger("take");
  });
  onLanguage(element, show);
  show();
}

/**
 * @param {string} name
 * @param {string[]} answers
 */
function drawQuestion(name, answers) {
  const title = make("legend");
  const options = answers.map((value) => {
    const box = make("input", { type: "radio", name: `guide-${name}`, value });
    const text = make("span");
    return { value, box, text, root: make("label", {}, box, text) };
  });
  const radios = make("div", { class: "form-radios" }, ...options.map((option) => option.root));
  return {
    root: make("fieldset", {}, title, radios),
    get answer() {
      return options.find((option) => option.box.checked)?.value ?? "";
    },
    /** @param {Record<string, string>} words */
    say(words) {
      setText(title, words[name]);
      for (const option of options) setText(option.text, words[`${name}_${option.value}`]);
    },
  };
}

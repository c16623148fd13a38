// @ts-check
/** The path of a data set: numbered steps, of which one is open; its parts are the children. */

import { loadStyle, make, setText } from "./dom.js";
import { recallOne } from "./keeping.js";
import { language, onLanguage } from "./language.js";

/** @typedef {import("./types").Mounted<string, import("./types").StepsData, object>} Mounted */

/**
 * Draw the steps into a component of Gradio, whose value is the name of the chosen set. Which step
 * is open is known here alone: an answer of the server on its way cannot undo a press. The style
 * sheet of the page shows the children whose class names the open step.
 * @param {Mounted} mounted
 */
export async function mount(mounted) {
  await loadStyle("list.css");
  const { element, props, data, trigger, watch, events } = mounted;
  const [first, second] = data.steps;
  let step = props.value ? second : first;
  const buttons = data.steps.map((name) => {
    const [number, text] = [make("span", { class: "step-number" }), make("span")];
    const button = make("button", { type: "button", "data-step": name }, number, text);
    button.addEventListener("click", () => {
      // an event leads elsewhere
      if (events.includes(name)) trigger(name);
      else step = name;
      update();
    });
    return { name, button, number, text };
  });
  const items = buttons.map(({ button }) => make("li", {}, button));
  const nav = make("nav", { class: "steps-nav" }, make("ol", {}, ...items));
  const chosen = make("p", { class: "steps-chosen" });
  element.querySelector(".list")?.append(nav, chosen);

  // What was chosen before comes late on a slow machine: it leaves what is begun meanwhile.
  let kept = recallOne(data.kept);
  let isBegun = false;
  for (const event of ["pointerdown", "keydown", "input", "drop"]) {
    element.addEventListener(event, () => {
      isBegun = true;
    });
  }

  const update = () => {
    const name = props.value;
    const words = data.words[language()];
    element.dataset.step = step;
    nav.setAttribute("aria-label", words.label);
    setText(chosen, name ? `${words.chosen} ${name}` : words.none);
    for (const [at, { name: each, button, number, text }] of buttons.entries()) {
      setText(number, String(at + 1));
      setText(text, words[each]);
      button.disabled = at > 0 && !name;
      if (each === step) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    }
  };
  watch("value", () => {
    if (!props.value) step = first;
    else if (step === first && !(isBegun && props.value === kept)) step = second; // to look at it
    if (props.value) kept = "";
    update();
  });
  onLanguage(element, update);
  update();
}

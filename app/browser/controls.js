// @ts-check
/** Native controls, one maker a kind: what holds the value of a field. */

import { Combobox } from "./combobox.js";
import { make, setText } from "./dom.js";

/** @typedef {import("./types").Field} Field */
/** @typedef {import("./types").Group} Group */
/** @typedef {import("./types").Raw} Raw */
/** @typedef {import("./types").Words} Words */
/** @typedef {(settled: boolean) => void} Changed */

/**
 * @typedef {object} Control
 * @property {HTMLElement} root
 * @property {HTMLElement} target  what takes the focus, and what problems describe
 * @property {() => Raw} get
 * @property {(raw: Raw) => void} set
 * @property {(field: Field, words: Words) => void} setTexts
 */

/**
 * @param {string} id
 * @param {Field} field
 * @param {Changed} changed  called at each change; not settled while it is typed
 * @param {(kind: string) => Promise<Group[]>} offers
 * @returns {Control}
 */
export function makeControl(id, field, changed, offers) {
  switch (field.kind) {
    case "bool":
      return makeSwitch(id, changed);
    case "choice":
      return makeSelect(id, changed);
    case "radio":
      return makeRadios(id, changed);
    case "one":
    case "several":
      return makeList(id, field, changed, offers);
    default:
      return makeText(id, field.kind, changed);
  }
}

/**
 * @param {string} id
 * @param {"text" | "area" | "number" | "secret"} kind
 * @param {Changed} changed
 * @returns {Control}
 */
function makeText(id, kind, changed) {
  const type = kind === "secret" ? "password" : "text";
  const input =
    kind === "area"
      ? make("textarea", { id, class: "form-box", rows: "3", spellcheck: "false" })
      : make("input", { id, class: "form-box", type, autocomplete: "off", spellcheck: "false" });
  if (kind === "number") input.inputMode = "decimal";
  input.addEventListener("input", () => changed(false));
  input.addEventListener("change", () => changed(true));
  return {
    root: input,
    target: input,
    get: () => input.value,
    set: (raw) => {
      input.value = String(raw);
    },
    setTexts: (field) => {
      input.placeholder = field.placeholder ?? "";
    },
  };
}

/**
 * @param {string} id
 * @param {Changed} changed
 * @returns {Control}
 */
function makeSwitch(id, changed) {
  const input = make("input", { id, type: "checkbox" });
  input.addEventListener("change", () => changed(true));
  return {
    root: input,
    target: input,
    get: () => input.checked,
    set: (raw) => {
      input.checked = raw === true || raw === "true";
    },
    setTexts: () => {},
  };
}

/**
 * @param {string} id
 * @param {Changed} changed
 * @returns {Control}
 */
function makeSelect(id, changed) {
  const select = make("select", { id, class: "form-box" });
  /** @type {Map<string, HTMLOptionElement>} */
  const options = new Map();
  /** One that is there stays: making all anew took most of a change of language. @param {string} value */
  const find = (value) => {
    const option = options.get(value) ?? make("option", { value }, value);
    options.set(value, option);
    return option;
  };
  select.addEventListener("change", () => changed(true));
  return {
    root: select,
    target: select,
    get: () => select.value,
    set: (raw) => {
      const option = find(String(raw));
      if (option.parentElement !== select) select.append(option);
      option.selected = true;
    },
    setTexts: (field) => {
      const [held] = select.selectedOptions;
      const choices = field.choices.map(([value, text]) => {
        const option = find(value);
        setText(option, text);
        return option;
      });
      const wanted = held && !choices.includes(held) ? [...choices, held] : choices;
      const isSame = wanted.every((option, at) => option === select.options[at]);
      if (isSame && wanted.length === select.options.length) return;
      select.replaceChildren(...wanted);
      if (held) held.selected = true;
    },
  };
}

/**
 * @param {string} id
 * @param {Changed} changed
 * @returns {Control}
 */
function makeRadios(id, changed) {
  const root = make("div", { id, role: "radiogroup", class: "form-radios", tabindex: "-1" });
  const boxes = () => [...root.querySelectorAll("input")];
  const hold = (/** @type {string} */ value) => {
    for (const box of boxes()) box.checked = box.value === value;
  };
  let held = "";
  root.addEventListener("change", () => {
    held = boxes().find((box) => box.checked)?.value ?? held;
    changed(true);
  });
  root.addEventListener("focus", () => (boxes().find((box) => box.checked) ?? boxes()[0])?.focus());
  return {
    root,
    target: root,
    get: () => held,
    set: (raw) => {
      held = String(raw);
      hold(held);
    },
    setTexts: (field) => {
      if (boxes().length === field.choices.length) {
        const texts = root.querySelectorAll("span");
        for (const [at, [, text]] of field.choices.entries()) setText(texts[at], text);
        return;
      }
      const labels = field.choices.map(([value, text]) => {
        const box = make("input", { type: "radio", name: id, value });
        return make("label", {}, box, make("span", {}, text));
      });
      root.replaceChildren(...labels);
      hold(held);
    },
  };
}

/**
 * @param {string} id
 * @param {Field} field
 * @param {Changed} changed
 * @param {(kind: string) => Promise<Group[]>} offers
 * @returns {Control}
 */
function makeList(id, field, changed, offers) {
  /** @type {Group[]} */
  let groups = [];
  const ask = () => (field.offers ? offers(field.offers) : Promise.resolve(groups));
  const box = new Combobox({ id, several: field.kind === "several", ask, changed });
  return {
    root: box.root,
    target: box.input,
    get: () => box.value,
    set: (raw) => {
      box.value = Array.isArray(raw) ? raw : String(raw);
    },
    setTexts: (texts, words) => {
      groups = texts.choices.length ? [{ title: "", options: texts.choices }] : [];
      box.setTexts(words, texts.placeholder ?? "", groups);
    },
  };
}

// @ts-check
/** The list below a combobox: options in groups, filtered while typing, one of them active. */

import { make, setText } from "./dom.js";

/** @typedef {import("./types").Group} Group */
/** @typedef {{ element: HTMLElement, value: string, text: string, search: string }} Option */
/** @typedef {1 | -1 | "first" | "last"} Step  to the next option, the one before, ... */

export class Listbox {
  /** @type {Option[]} */
  #options = [];
  /** @type {Option | undefined} */
  #active;
  #data = "";
  #list;
  #note;

  /**
   * @param {string} id
   * @param {boolean} several  whether more than one option can be chosen
   * @param {(value: string) => void} pick
   */
  constructor(id, several, pick) {
    this.#list = make("div", { id, role: "listbox", class: "form-options" });
    if (several) this.#list.setAttribute("aria-multiselectable", "true");
    this.#note = make("p", { class: "form-note", role: "status", hidden: true });
    this.popup = make("div", { popover: "manual", class: "form-popup" }, this.#list, this.#note);
    // The press must not take the focus away from what is typed in.
    this.popup.addEventListener("mousedown", (event) => event.preventDefault());
    this.#list.addEventListener("click", (event) => {
      const element = /** @type {Element} */ (event.target).closest('[role="option"]');
      const option = this.#options.find((each) => each.element === element);
      if (option) pick(option.value);
    });
  }

  /** The active option's element. */
  get active() {
    return this.#active?.element;
  }

  get activeValue() {
    return this.#active?.value;
  }

  get isEmpty() {
    return this.#options.length === 0;
  }

  /** @param {string} name */
  setName(name) {
    this.#list.setAttribute("aria-label", name);
  }

  /** @param {string} text */
  setNote(text) {
    setText(this.#note, text);
    this.#note.hidden = !text;
  }

  /**
   * The value of an option by its value or its text; any other text is a value itself.
   * @param {string} text
   */
  valueOf(text) {
    const options = this.#options;
    if (options.some((option) => option.value === text)) return text;
    return options.find((option) => option.text === text)?.value ?? text;
  }

  /**
   * The text of a value.
   * @param {string} value
   */
  textOf(value) {
    return this.#options.find((option) => option.value === value)?.text ?? value;
  }

  /**
   * Draw what there is to choose, unless it is there already.
   * @param {Group[]} groups
   */
  show(groups) {
    const data = JSON.stringify(groups);
    if (data === this.#data) return;
    this.#data = data;
    this.#options = [];
    this.setActive(undefined);
    const parts = groups.map(({ title, options }, number) => {
      const titleId = `${this.#list.id}-${number}`;
      const group = make("div", title ? { role: "group", "aria-labelledby": titleId } : {});
      if (title) group.append(make("div", { id: titleId, class: "form-group-title" }, title));
      group.append(...options.map(([value, text]) => this.#makeOption(value, text)));
      return group;
    });
    this.#list.replaceChildren(...parts);
  }

  /**
   * @param {string} value
   * @param {string} text
   */
  #makeOption(value, text) {
    const id = `${this.#list.id}-option-${this.#options.length}`;
    const element = make("div", { id, role: "option", "aria-selected": "false" });
    element.append(make("span", {}, text));
    if (text !== value) element.append(make("small", {}, value));
    this.#options.push({ element, value, text, search: `${text}\n${value}`.toLowerCase() });
    return element;
  }

  /**
   * Show the options that contain every word of a text; returns how many.
   * @param {string} text
   */
  filter(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { element, search } of this.#options) {
      const fits = words.every((word) => search.includes(word));
      if (element.hidden === fits) element.hidden = !fits;
      if (fits) count += 1;
    }
    for (const group of /** @type {Iterable<HTMLElement>} */ (this.#list.children)) {
      group.hidden = !group.querySelector('[role="option"]:not([hidden])');
    }
    if (this.#active?.element.hidden) this.setActive(undefined);
    return count;
  }

  /**
   * Mark what is chosen.
   * @param {string[]} values
   */
  select(values) {
    const chosen = new Set(values);
    for (const { element, value } of this.#options) {
      element.setAttribute("aria-selected", String(chosen.has(value)));
    }
  }

  /** Scroll to the first chosen option. */
  reveal() {
    this.#list.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }

  /**
   * Make another option active.
   * @param {Step} where
   */
  move(where) {
    const options = this.#options.filter((option) => !option.element.hidden);
    if (!options.length) return;
    const at = this.#active ? options.indexOf(this.#active) : where === -1 ? 0 : -1;
    const last = options.length - 1;
    const next = where === "first" ? 0 : where === "last" ? last : at + where;
    this.setActive(options[(next + options.length) % options.length]);
  }

  /** @param {Option | undefined} option */
  setActive(option) {
    this.#active?.element.classList.remove("form-active");
    this.#active = option;
    option?.element.classList.add("form-active");
    option?.element.scrollIntoView({ block: "nearest" });
  }
}

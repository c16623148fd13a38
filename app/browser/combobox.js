// @ts-check
/** A box that offers names and takes any other: one, or several as chips (ARIA's combobox). */

import { make } from "./dom.js";
import { Listbox } from "./listbox.js";
import { openPopup } from "./popup.js";

/** @typedef {import("./types").Group} Group */
/** @typedef {import("./types").Words} Words */
/** @typedef {import("./listbox.js").Step} Step */

/**
 * @typedef {object} Setup
 * @property {string} id  of its input
 * @property {boolean} several
 * @property {() => Promise<Group[]>} ask  what it offers, asked for whenever it opens; rejected
 *   with an Error whose message is for the person
 * @property {(settled: boolean) => void} changed  called when the value is another; not settled
 *   while it is typed
 */

export class Combobox {
  /** @type {string[]} */
  #chosen = [];
  /** @type {(() => void) | undefined} */
  #close;
  #typing = false;
  #asked = 0;
  #isLoading = false;
  /** @type {Step | undefined} a step that waits for the options */
  #step;
  #setup;
  #list;
  #chips = make("ul", { class: "form-chips" });
  #button = make("button", { type: "button", class: "form-open", tabindex: "-1" });
  /** @type {Words | undefined} */
  #words;
  #placeholder = "";

  /** @param {Setup} setup */
  constructor(setup) {
    this.#setup = setup;
    const list = `${setup.id}-list`;
    this.input = make("input", {
      id: setup.id,
      type: "text",
      role: "combobox",
      autocomplete: "off",
      spellcheck: "false",
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": list,
    });
    this.#list = new Listbox(list, setup.several, (value) => this.#pick(value));
    this.root = make("div", { class: "form-box form-combobox" });
    if (setup.several) this.root.append(this.#chips);
    this.root.append(this.input, this.#button, this.#list.popup);
    this.#listen();
  }

  /** What it holds: a text, or a list of texts. */
  get value() {
    return this.#setup.several ? [...this.#chosen] : this.input.value;
  }

  /** @param {string | string[]} value */
  set value(value) {
    if (Array.isArray(value)) {
      this.#chosen = [...value];
      this.#drawChips();
    } else this.input.value = value;
  }

  /**
   * Texts in another language, and what is offered before anything is asked for.
   * @param {Words} words
   * @param {string} placeholder
   * @param {Group[]} groups
   */
  setTexts(words, placeholder, groups) {
    this.#words = words;
    this.#placeholder = placeholder;
    this.input.placeholder = placeholder;
    this.#button.setAttribute("aria-label", words.open_list);
    this.#list.setName(words.options);
    if (!this.#close) this.#list.show(groups);
    this.#drawChips();
  }

  #listen() {
    const input = this.input;
    input.addEventListener("input", () => this.#type());
    input.addEventListener("keydown", (event) => this.#press(event));
    input.addEventListener("blur", () => this.#leave());
    if (!this.#setup.several) input.addEventListener("change", () => this.#setup.changed(true));
    this.root.addEventListener("mousedown", (event) => {
      const target = /** @type {Element} */ (event.target);
      if (target === input || target.closest(".form-chip, .form-popup")) return;
      event.preventDefault();
      input.focus();
    });
    this.root.addEventListener("click", (event) => {
      const target = /** @type {Element} */ (event.target);
      if (target.closest(".form-chip, .form-popup")) return;
      if (this.#close && target !== input) this.#shut();
      else this.#open();
    });
  }

  #type() {
    this.#typing = true;
    if (!this.#setup.several) this.#setup.changed(false);
    else if (/[,\n]/.test(this.input.value)) this.#commit();
    this.#open();
    this.#filter();
  }

  #open() {
    if (this.#close) return;
    this.#close = openPopup(this.#list.popup, this.root, "below");
    this.input.setAttribute("aria-expanded", "true");
    this.#filter();
    this.#list.reveal();
    this.#load();
  }

  #shut() {
    this.#close?.();
    this.#close = undefined;
    this.#typing = false;
    this.#asked += 1;
    this.#isLoading = false;
    this.#step = undefined;
    this.#list.setActive(undefined);
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  /** Ask for what there is to choose; what came before stays until the answer is here. */
  async #load() {
    this.#asked += 1;
    const number = this.#asked;
    this.#isLoading = true;
    this.#note(this.#list.isEmpty ? 0 : 1);
    try {
      const groups = await this.#setup.ask();
      if (number !== this.#asked) return;
      this.#isLoading = false;
      this.#list.show(groups);
      this.#filter();
      this.#list.reveal();
      this.#drawChips();
      if (this.#step) this.#move(this.#step);
    } catch (error) {
      if (number !== this.#asked) return;
      this.#isLoading = false;
      this.#list.setNote(/** @type {Error} */ (error).message);
    }
  }

  #filter() {
    const several = this.#setup.several;
    const count = this.#list.filter(several || this.#typing ? this.input.value : "");
    this.#list.select(several ? this.#chosen : [this.input.value]);
    if (!this.#list.active) this.input.removeAttribute("aria-activedescendant");
    this.#note(count);
  }

  /**
   * Say why there is nothing to choose from.
   * @param {number} count  of the options that are seen
   */
  #note(count) {
    const words = this.#words;
    if (count || !words) this.#list.setNote("");
    else if (this.#isLoading) this.#list.setNote(words.loading);
    else if (this.#setup.several && this.input.value) this.#list.setNote(words.free_text);
    else this.#list.setNote(words.no_match);
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.isComposing || !this.#answerKey(event.key)) return; // keys that compose a character
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * Do what a key is for; returns whether it is for anything here.
   * @param {string} key
   */
  #answerKey(key) {
    if (key === "ArrowDown" || key === "ArrowUp") {
      this.#open();
      this.#move(key === "ArrowDown" ? 1 : -1);
    } else if ((key === "Home" || key === "End") && this.#list.active) {
      this.#move(key === "Home" ? "first" : "last");
    } else if (key === "Enter") this.#enter();
    else if (key === "Escape" && this.#close) this.#shut();
    else if (key === "Backspace" && !this.input.value && this.#chosen.length) {
      this.#remove(this.#chosen[this.#chosen.length - 1]);
    } else return false;
    return true;
  }

  /** @param {Step} where */
  #move(where) {
    this.#step = this.#list.isEmpty ? where : undefined;
    this.#list.move(where);
    const active = this.#list.active;
    if (active) this.input.setAttribute("aria-activedescendant", active.id);
  }

  #enter() {
    const active = this.#list.activeValue;
    if (this.#close && active !== undefined) this.#pick(active);
    else if (this.#setup.several) this.#commit();
    else this.#shut();
  }

  /** @param {string} value */
  #pick(value) {
    if (!this.#setup.several) {
      this.input.value = value;
      this.#shut();
      this.#setup.changed(true);
    } else if (this.#chosen.includes(value)) this.#remove(value);
    else this.#add([value]);
  }

  /** Take over what was typed: one value, or several with commas between them. */
  #commit() {
    const texts = this.input.value.split(/[,\n]/).map((text) => text.trim());
    this.#add(texts.filter(Boolean).map((text) => this.#list.valueOf(text)));
  }

  /** @param {string[]} values */
  #add(values) {
    const fresh = values.filter((value) => !this.#chosen.includes(value));
    this.input.value = "";
    this.#typing = false;
    if (fresh.length) this.#choose([...this.#chosen, ...new Set(fresh)]);
    else this.#filter();
  }

  /** @param {string} value */
  #remove(value) {
    this.#choose(this.#chosen.filter((each) => each !== value));
  }

  /** @param {string[]} values */
  #choose(values) {
    this.#chosen = values;
    this.#drawChips();
    this.#filter();
    this.#setup.changed(true);
  }

  #leave() {
    const text = this.input.value;
    if (this.#setup.several) {
      if (text.trim()) this.#commit();
    } else if (this.#list.valueOf(text) !== text) {
      this.input.value = this.#list.valueOf(text);
      this.#setup.changed(true);
    }
    this.#shut();
  }

  #drawChips() {
    if (!this.#setup.several) return;
    const chips = this.#chosen.map((value) => {
      const text = this.#list.textOf(value);
      const label = `${this.#words?.remove ?? ""} ${text}`;
      const button = make("button", { type: "button", "aria-label": label });
      button.addEventListener("click", () => {
        this.#remove(value);
        this.input.focus();
      });
      const name = shorten(text);
      const title = name !== text && text;
      return make("li", { class: "form-chip", title }, make("span", {}, name), button);
    });
    this.#chips.replaceChildren(...chips);
    this.#chips.hidden = !chips.length;
    this.input.placeholder = chips.length ? "" : this.#placeholder;
  }
}

/**
 * The name of a run or of its checkpoint for a chip, whose whole path takes two lines: the folders
 * of the model and the method are left out. Other names stay as they are.
 * @param {string} text
 */
function shorten(text) {
  const parts = text.split("/");
  const isPoint = /^checkpoint-\d+$/.test(parts[parts.length - 1]);
  return parts.length > 2 ? parts.slice(isPoint ? -2 : -1).join("/") : text;
}

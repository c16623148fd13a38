// @ts-check
/** The sections of a form: which fields stand together, and which sections are seen. */

import { make, setText } from "./dom.js";

/** @typedef {import("./fields.js").Field} Field */
/** @typedef {import("./types").Schema} Schema */
/** @typedef {import("./types").Section} Data */

/** One section, a <details> whose title says how many of its fields differ from their defaults. */
class Section {
  #title = make("span");
  #count = make("span", { class: "form-count", hidden: true });
  #fields;

  /**
   * @param {string} prefix
   * @param {Data} data
   * @param {Map<string, Field>} fields
   */
  constructor(prefix, data, fields) {
    this.isAdvanced = data.advanced === true;
    this.#fields = data.rows.flat().flatMap((name) => fields.get(name) ?? []);
    const rows = data.rows.map((names) => {
      const roots = names.flatMap((name) => fields.get(name)?.root ?? []);
      return make("div", { class: "form-row" }, ...roots);
    });
    const head = make("summary", { hidden: !data.title }, this.#title, this.#count);
    this.root = make("details", { id: `${prefix}group-${data.id}`, class: "form-section" }, head);
    this.root.append(make("div", { class: "form-rows" }, ...rows));
    this.root.open = !data.closed;
  }

  /** How many of its fields are seen, and how many of those differ from their defaults. */
  get counts() {
    const shown = this.#fields.filter((field) => !field.root.hidden);
    return [shown.length, shown.filter((field) => field.isChanged).length];
  }

  /** @param {string} title */
  setTitle(title) {
    setText(this.#title, title);
  }

  /**
   * @param {boolean} withAdvanced
   * @param {string} changedWord
   */
  update(withAdvanced, changedWord) {
    const [shown, changed] = this.counts;
    this.root.hidden = !shown || (this.isAdvanced && !withAdvanced);
    this.#count.hidden = !changed;
    this.#count.title = changedWord;
    setText(this.#count, String(changed));
  }
}

export class Sections {
  #sections;
  #schema;
  #more = make("button", { type: "button", class: "form-more", "aria-expanded": "false" });
  #moreText = make("span");
  #moreCount = make("span", { class: "form-count", hidden: true });

  /**
   * Draw all sections into the two places of a form.
   * @param {HTMLElement} element
   * @param {string} prefix
   * @param {Schema} schema
   * @param {Map<string, Field>} fields
   */
  constructor(element, prefix, schema, fields) {
    this.#schema = schema;
    this.#sections = schema.sections.map((data) => new Section(prefix, data, fields));
    const rest = /** @type {HTMLElement} */ (element.querySelector(".form-rest"));
    const first = element.querySelector(".form-first") ?? rest;
    for (const [at, { root }] of this.#sections.entries()) {
      (schema.sections[at].slot === "first" ? first : rest).append(root);
    }
    this.#more.append(this.#moreText, this.#moreCount);
    this.#more.addEventListener("click", () => this.#toggle());
    const advanced = this.#sections.find((section) => section.isAdvanced);
    advanced?.root.before(this.#more);
  }

  get #isOpen() {
    return this.#more.getAttribute("aria-expanded") === "true";
  }

  #toggle() {
    this.#more.setAttribute("aria-expanded", String(!this.#isOpen));
    this.update();
  }

  /** @param {Schema} schema */
  setTexts(schema) {
    this.#schema = schema;
    for (const [at, section] of this.#sections.entries()) {
      section.setTitle(schema.sections[at].title);
    }
    setText(this.#moreText, schema.words.advanced ?? "");
  }

  /** Hide the sections without a field that applies, and count what differs from the defaults. */
  update() {
    const advanced = this.#sections.filter((section) => section.isAdvanced);
    for (const section of this.#sections) {
      section.update(this.#isOpen, this.#schema.words.changed);
    }
    const changed = advanced.reduce((sum, section) => sum + section.counts[1], 0);
    this.#moreCount.hidden = !changed;
    this.#moreCount.title = this.#schema.words.changed;
    setText(this.#moreCount, String(changed));
  }

  /**
   * Open whatever hides a field.
   * @param {Field | undefined} field
   */
  reveal(field) {
    const section = this.#sections.find(({ root }) => field && root.contains(field.root));
    if (!section) return;
    if (section.isAdvanced && !this.#isOpen) this.#toggle();
    section.root.open = true;
  }
}

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
    this.#fields = data.rows.flat().flatMap((name) => fields.get(name) ?? []);
    const rows = data.rows.map((names) => {
      const roots = names.flatMap((name) => fields.get(name)?.root ?? []);
      return make("div", { class: "form-row" }, ...roots);
    });
    const head = make("summary", { hidden: !data.title }, this.#title, this.#count);
    this.root = make("details", { id: `${prefix}group-${data.id}`, class: "form-section" }, head);
    this.body = make("div", { class: "form-rows" }, ...rows);
    this.body.style.setProperty("--columns", String(columnsOf(data.rows, fields)));
    this.root.append(this.body);
    this.root.open = !data.closed;
  }

  /** @param {string} title */
  setTitle(title) {
    setText(this.#title, title);
  }

  /** @param {string} changedWord */
  update(changedWord) {
    const shown = this.#fields.filter((field) => !field.root.hidden);
    const changed = shown.filter((field) => field.isChanged).length;
    this.root.hidden = !shown.length;
    this.#count.hidden = !changed;
    this.#count.title = changedWord;
    setText(this.#count, String(changed));
  }
}

export class Sections {
  #sections;
  #schema;

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
  }

  /** @param {Schema} schema */
  setTexts(schema) {
    this.#schema = schema;
    for (const [at, section] of this.#sections.entries()) {
      section.setTitle(schema.sections[at].title);
    }
  }

  /** Hide the sections without a field that is seen, and count what differs from the defaults. */
  update() {
    for (const section of this.#sections) section.update(this.#schema.words.changed);
  }

  /**
   * Open the section of a field.
   * @param {Field} field
   */
  open(field) {
    const section = this.#find(field);
    if (section) section.root.open = true;
  }

  /**
   * Put something above the fields of the section of a field.
   * @param {Field} field
   * @param {HTMLElement} element
   */
  introduce(field, element) {
    this.#find(field)?.body.before(element);
  }

  /** @param {Field} field */
  #find(field) {
    return this.#sections.find(({ root }) => root.contains(field.root));
  }
}

/**
 * The columns of a section whose longest row leaves no gap at its end.
 * @param {string[][]} rows
 * @param {Map<string, Field>} fields
 */
function columnsOf(rows, fields) {
  const widths = rows.map((names) =>
    names.reduce((sum, name) => sum + (fields.get(name)?.columns ?? 0), 0),
  );
  return Math.max(1, ...widths);
}

// @ts-check
/** Simple or advanced: which fields of a form are seen, what is said of the others, and Defaults. */

import { make, setText } from "./dom.js";
import { keepMode, restoreMode } from "./store.js";

/** @typedef {import("./fields.js").Field} Field */
/** @typedef {import("./types").Schema} Schema */
/** @typedef {"simple" | "advanced"} Mode */

const MODES = /** @type {const} */ (["simple", "advanced"]);

/**
 * @typedef {object} Actions
 * @property {() => void} changed  the other mode was chosen
 * @property {(field: Field) => void} open  the section of a field is to be opened
 * @property {() => void} reset  all fields are to hold their defaults
 * @property {() => void} undo  they are to hold what they held before
 */

/** The head of a form that has a simple mode; of another one, nothing. */
export class Modes {
  #form;
  #schema;
  #fields;
  /** @type {Mode} */
  #mode;
  #choice;
  /** @type {Map<Mode, HTMLElement>} */
  #labels = new Map();
  #reset = make("button", { type: "button", class: "form-quiet-button" });
  #note = make("p", { class: "form-note-text" });
  #act = make("button", { type: "button", class: "form-quiet-button" });
  #line = make("div", { class: "form-mode-line", role: "status", hidden: true });
  #actions;
  #isUndoable = false;

  /**
   * @param {HTMLElement} place  where it is drawn, before all else
   * @param {{ form: string, prefix: string }} names
   * @param {Schema} schema
   * @param {Map<string, Field>} fields
   * @param {Actions} actions
   */
  constructor(place, { form, prefix }, schema, fields, actions) {
    this.#form = form;
    this.#schema = schema;
    this.#fields = fields;
    this.#actions = actions;
    this.#mode = schema.simple.length && restoreMode(form) !== "advanced" ? "simple" : "advanced";
    this.#choice = this.#drawChoice(`${prefix}mode`);
    this.#reset.id = `${prefix}defaults`;
    this.#act.id = `${prefix}mode-act`;
    this.#reset.addEventListener("click", actions.reset);
    this.#act.addEventListener("click", () => (this.#isUndoable ? actions.undo() : this.#show()));
    this.#line.append(this.#note, this.#act);
    if (!schema.simple.length) return;
    const head = make("div", { class: "form-mode" }, this.#choice, this.#reset);
    place.prepend(head, this.#line);
  }

  /** @param {string} id */
  #drawChoice(id) {
    const root = make("div", { id, role: "radiogroup", class: "form-switch" });
    for (const mode of MODES) {
      const box = make("input", { type: "radio", name: id, value: mode });
      box.checked = mode === this.#mode;
      box.addEventListener("change", () => this.choose(mode));
      const label = make("span");
      this.#labels.set(mode, label);
      root.append(make("label", {}, box, label));
    }
    return root;
  }

  /** @param {Schema} schema */
  setTexts(schema) {
    this.#schema = schema;
    const { words } = schema;
    this.#choice.setAttribute("aria-label", words.mode);
    for (const [mode, label] of this.#labels) setText(label, words[mode]);
    setText(this.#reset, words.defaults);
  }

  /**
   * Whether a field is seen where it applies.
   * @param {string} name
   */
  shows(name) {
    return this.#mode === "advanced" || this.#schema.simple.includes(name);
  }

  /** @param {Mode} mode */
  choose(mode) {
    if (mode === this.#mode) return;
    this.#mode = mode;
    for (const box of this.#choice.querySelectorAll("input")) box.checked = box.value === mode;
    keepMode(this.#form, mode);
    this.#actions.changed();
  }

  /** @param {boolean} isUndoable  whether Defaults was just pressed */
  offerUndo(isUndoable) {
    this.#isUndoable = isUndoable;
  }

  /** The fields that simple mode hides although there is something to be said of them. */
  get #hidden() {
    const fields = [...this.#fields].flatMap(([name, field]) => (this.shows(name) ? [] : field));
    return {
      changed: fields.filter((field) => field.isApplied && field.isChanged && !field.isFollowing),
      wrong: fields.filter((field) => field.level === "error"),
    };
  }

  /** Switch to advanced, and go to the first field that was spoken of. */
  #show() {
    const { changed, wrong } = this.#hidden;
    this.choose("advanced");
    for (const field of [...changed, ...wrong]) this.#actions.open(field);
    (wrong[0] ?? changed[0])?.focus();
  }

  /** Say what is hidden, or that Defaults can be taken back. */
  update() {
    const { words } = this.#schema;
    const { changed, wrong } = this.#hidden;
    this.#reset.hidden = ![...this.#fields.values()].some((field) => field.isChanged);
    let text = "";
    if (this.#isUndoable) text = words.defaults_done;
    else if (wrong.length) text = `${words.hidden_wrong} ${wrong.length}`;
    else if (changed.length) text = `${words.hidden_changed} ${changed.length}`;
    setText(this.#note, text);
    setText(this.#act, this.#isUndoable ? words.undo : words.show);
    this.#line.hidden = !text;
  }
}

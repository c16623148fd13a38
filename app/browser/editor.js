// @ts-check
/** The rows of a small data set, one at a time, to correct, leave out and add. */

import { loadStyle, make, setText } from "./dom.js";
import { language, onLanguage } from "./language.js";

/** @typedef {import("./types").Edited} Edited */
/** @typedef {import("./types").Mounted<Edited, import("./types").EditorData, object>} Mounted */

const ACTS = ["previous", "next", "change", "delete", "add", "undo"];
const EDITS = new Set(["delete", "add"]);

/**
 * Draw the editor into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount(mounted) {
  await loadStyle("list.css");
  new Editor(mounted);
}

class Editor {
  #mounted;
  #parts;
  #isUnsaved = false;
  #version = 0; // of the answer that was taken last

  /** @param {Mounted} mounted */
  constructor(mounted) {
    this.#mounted = mounted;
    this.#parts = draw(mounted.element, mounted.data.prefix);
    const { open, row, save } = this.#parts;
    open.addEventListener("click", () => this.#ask("open"));
    save.addEventListener("click", () => this.#ask("save"));
    for (const { name, button } of this.#parts.acts) {
      button.addEventListener("click", () => this.#ask(name));
    }
    row.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#ask("jump");
    });
    this.#parts.columns.addEventListener("input", () => {
      this.#isUnsaved = true;
      this.#tell("");
    });
    addEventListener("beforeunload", (event) => {
      if (this.#isUnsaved && mounted.element.isConnected && !this.#parts.form.hidden) {
        event.preventDefault();
      }
    });
    mounted.watch("value", () => this.#take());
    onLanguage(mounted.element, () => this.#show());
    this.#show();
  }

  /**
   * Ask Python to do something with what is typed.
   * @param {string} act
   */
  #ask(act) {
    this.#tell(act);
    this.#isUnsaved = act === "undo" ? false : this.#isUnsaved || EDITS.has(act);
    this.#mounted.trigger("act");
  }

  /**
   * Let Python know what is typed, and into which row.
   * @param {string} act
   */
  #tell(act) {
    const { props } = this.#mounted;
    const { row, into, columns } = this.#parts;
    const values = [...columns.querySelectorAll("textarea")].map((box) => box.value);
    const at = props.value?.shown?.row ?? "";
    const typed = { at, row: row.input.value, values, into: into.input.value };
    props.value = { ...props.value, act, ...typed };
  }

  #show() {
    const shown = this.#mounted.props.value?.shown;
    const words = this.#mounted.data.words[language()];
    const { open, note, form, row, into, acts, save } = this.#parts;
    setText(open, words.open);
    setText(row.label, words.row);
    setText(into.label, words.into);
    setText(into.help, words.into_help);
    setText(save, words.save);
    for (const { name, button } of acts) setText(button, words[name]);
    const text = shown?.note[language()] ?? "";
    setText(note, text);
    note.hidden = !text;
    form.hidden = !shown?.columns.length;
  }

  /** Put the values of the row into their boxes: only when Python has answered, as they are typed
   * into. */
  #take() {
    const shown = this.#mounted.props.value?.shown;
    if (!shown || shown.version === this.#version) return;
    this.#version = shown.version;
    if (shown.columns.length) this.#parts.row.input.value = shown.row;
    this.#fill(shown.columns, shown.values);
    this.#show();
  }

  /**
   * Boxes for the columns of a row; those that are there already are kept, as one of them may have
   * the focus.
   * @param {string[]} columns
   * @param {string[]} values
   */
  #fill(columns, values) {
    const { columns: place } = this.#parts;
    const { prefix } = this.#mounted.data;
    const labels = [...place.querySelectorAll(".edit-label")].map((label) => label.textContent);
    if (JSON.stringify(labels) !== JSON.stringify(columns)) {
      place.replaceChildren(
        ...columns.map((name, at) => {
          const label = make("span", { class: "edit-label" }, name);
          return make(
            "label",
            { id: `${prefix}box-${at}` },
            label,
            make("textarea", { rows: "1" }),
          );
        }),
      );
    }
    for (const [at, box] of place.querySelectorAll("textarea").entries()) box.value = values[at];
  }
}

/**
 * @param {HTMLElement} element
 * @param {string} prefix
 */
function draw(element, prefix) {
  const makeButton = (/** @type {string} */ name, /** @type {string} */ kind) =>
    make("button", { id: prefix + name, type: "button", class: kind });
  const open = makeButton("open", "list-begin");
  const note = make("p", { id: `${prefix}note`, class: "list-note", role: "status", hidden: true });
  const row = makeBox(`${prefix}row`);
  const into = makeBox(`${prefix}into`);
  const columns = make("div", { class: "edit-columns" });
  const acts = ACTS.map((name) => ({ name, button: makeButton(name, "list-action") }));
  const save = makeButton("save", "work-start");
  const buttons = make("div", { class: "work-buttons" }, ...acts.map(({ button }) => button));
  const form = make("div", { class: "edit-form", hidden: true }, row.root, columns, buttons);
  form.append(into.root, make("div", { class: "work-buttons" }, save));
  element.querySelector(".list")?.append(open, note, form);
  return { open, note, row, into, columns, acts, save, form };
}

/** @param {string} id */
function makeBox(id) {
  const label = make("span", { class: "edit-label" });
  const input = make("input", { type: "text", autocomplete: "off", spellcheck: "false" });
  const help = make("span", { class: "list-detail" });
  return { root: make("label", { id, class: "edit-box" }, label, input, help), label, input, help };
}

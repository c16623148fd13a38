// @ts-check
/** The rows of a list that are ticked: how many, and what is done with them: compare, rename, delete. */

import { make, setText } from "./dom.js";
import { language } from "./language.js";

/** @typedef {import("./types").ListPickAnswer} Answer */
/** @typedef {import("./types").ListServer} Server */
/** @typedef {Record<string, string>} Words */
/** @typedef {{ key: string, name: string }} Picked */

const FEWEST = 2; // to compare

/**
 * @typedef {object} Actions
 * @property {() => void} changed  other rows are ticked
 * @property {(text: string, isWrong?: boolean) => void} say
 * @property {(key: string) => void} refresh  the list is another; `key` is that of a row to choose
 */

export class Picks {
  /** @type {Map<string, string>} The names of the ticked rows by their keys. */
  #picked = new Map();
  #server;
  #actions;
  /** @type {Words} */
  #words = {};
  #count = make("span", { class: "list-picked-count", role: "status" });
  /** @type {Record<string, HTMLButtonElement>} */
  #buttons = {};
  #ask = make("div", { class: "list-ask", hidden: true });
  #compared = make("div", { class: "list-compared" });
  #bar = make("div", { class: "list-picked-bar" }, this.#count);
  root = make("div", { class: "list-picked", hidden: true }, this.#bar, this.#ask, this.#compared);

  /**
   * @param {string} prefix  of the element ids
   * @param {Server} server
   * @param {Actions} actions
   */
  constructor(prefix, server, actions) {
    this.#server = server;
    this.#actions = actions;
    this.root.id = `${prefix}picked`;
    const acts = {
      compare: () => this.#compare(),
      rename: () => this.#askName(),
      delete: () => this.#askDelete(),
      clear: () => this.#clear(),
    };
    for (const [name, act] of Object.entries(acts)) {
      const button = makeButton(`${prefix}${name}`, act);
      this.#buttons[name] = button;
      this.#bar.append(button);
    }
  }

  /** @param {Words} words */
  setWords(words) {
    this.#words = words;
    for (const [name, button] of Object.entries(this.#buttons)) setText(button, words[name]);
    this.#show();
  }

  /** @param {string} key */
  has(key) {
    return this.#picked.has(key);
  }

  /**
   * Tick a row, or take its tick away.
   * @param {Picked} row
   */
  toggle({ key, name }) {
    if (!this.#picked.delete(key)) this.#picked.set(key, name);
    this.#close();
  }

  /**
   * Rows that are gone are ticked no more.
   * @param {(key: string) => boolean} isThere
   */
  keep(isThere) {
    const gone = [...this.#picked.keys()].filter((key) => !isThere(key));
    for (const key of gone) this.#picked.delete(key);
    if (gone.length) this.#close();
  }

  #clear() {
    this.#picked.clear();
    this.#close();
    this.#actions.changed();
  }

  /** What was asked or shown of other rows goes. */
  #close() {
    this.#ask.hidden = true;
    this.#compared.replaceChildren();
    this.#actions.say("");
    this.#show();
  }

  #show() {
    const { size } = this.#picked;
    this.root.hidden = !size;
    setText(this.#count, `${this.#words.picked ?? ""} ${size}`);
    this.#buttons.compare.disabled = size < FEWEST;
    this.#buttons.rename.disabled = size !== 1;
  }

  /**
   * @param {string} act
   * @param {object} [more]
   * @returns {Promise<Answer | undefined>}  nothing where it was refused, which is said
   */
  async #do(act, more = {}) {
    const question = { do: act, keys: [...this.#picked.keys()], lang: language(), ...more };
    const answer = await this.#server.pick(question).catch(() => undefined);
    if (answer?.ok) return answer;
    this.#actions.say(answer?.errors?.[language()] ?? this.#words.lost ?? "", true);
    return undefined;
  }

  async #compare() {
    this.#ask.hidden = true;
    const answer = await this.#do("compare");
    const { showComparison } = await import("./run_compare.js");
    if (answer) showComparison(this.#compared, answer, this.#words, () => this.#close());
  }

  async #askDelete() {
    const answer = await this.#do("ask");
    if (!answer) return;
    const yes = makeButton("", () => this.#delete());
    yes.classList.add("list-danger");
    setText(yes, this.#words.delete);
    const no = makeButton("", () => this.#close());
    setText(no, this.#words.no);
    this.#ask.replaceChildren(make("p", {}, answer.question ?? ""), yes, no);
    this.#ask.hidden = false;
    no.focus();
  }

  async #delete() {
    this.#ask.hidden = true;
    const answer = await this.#do("delete");
    if (answer) this.#clear();
    this.#actions.refresh("");
    if (answer) this.#actions.say(answer.words?.[language()] ?? "");
  }

  #askName() {
    const [name] = this.#picked.values();
    const input = make("input", { type: "text", autocomplete: "off", spellcheck: "false" });
    input.value = name;
    input.setAttribute("aria-label", this.#words.name);
    const save = make("button", { type: "submit", class: "list-action" }, this.#words.save);
    const no = makeButton("", () => this.#close());
    setText(no, this.#words.cancel);
    const form = make("form", {}, input, save, no);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#rename(input.value);
    });
    this.#ask.replaceChildren(form);
    this.#ask.hidden = false;
    input.select();
  }

  /** @param {string} name */
  async #rename(name) {
    const answer = await this.#do("rename", { name });
    if (!answer) return;
    this.#clear();
    this.#actions.refresh(answer.key ?? "");
  }
}

/**
 * @param {string} id
 * @param {() => void} act
 */
function makeButton(id, act) {
  const button = make("button", { type: "button", class: "list-action" });
  if (id) button.id = id;
  button.addEventListener("click", act);
  return button;
}

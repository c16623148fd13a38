// @ts-check
/** The head of a run's panel: state, progress, numbers, what went wrong, and what can be done. */

import { copyText } from "./clipboard.js";
import { make, setText } from "./dom.js";
import { Use } from "./run_use.js";

/** @typedef {import("./run_types").Head} HeadData */
/** @typedef {import("./run_types").RunButton} Button */
/** @typedef {import("./run_types").Tile} Tile */
/** @typedef {Record<string, string>} Words */

const PERCENT = 100;
const OFFERS = ["queue", "instead"]; // what a refused start can do instead
const OFFERED = "restart"; // the button whose press it is

export class Head {
  root;
  #name = make("h3", { class: "run-name" });
  #state = make("span", { class: "run-state", role: "status" });
  #progress = make("progress", { max: String(PERCENT) });
  #position = make("p", { class: "run-quiet" });
  #tiles = make("dl", { class: "run-tiles" });
  #safe = make("p", { class: "run-safe run-quiet" });
  #problem = makeBox("run-problem");
  #notices = makeBox("run-notices");
  #fix = makeBox("run-fix");
  #use;
  #copy = make("button", { type: "button", class: "run-button run-small" });
  #buttons = make("div", { class: "run-buttons" });
  #answer = make("p", { class: "run-answer", role: "status", hidden: true });
  #offers = make("div", { class: "run-buttons", hidden: true });
  #press;
  /** @type {Button[]} */
  #shown = [];

  /**
   * @param {string} prefix  of the element ids
   * @param {(name: string, how: string) => void} press  `how` is the name of an offer; "" without
   */
  constructor(prefix, press) {
    this.#press = press;
    this.#use = new Use(prefix);
    for (const how of OFFERS) {
      const id = `${prefix}-${how}`;
      const offer = make("button", {
        type: "button",
        id,
        name: how,
        class: "run-button run-small",
      });
      offer.addEventListener("click", () => this.#press(OFFERED, how));
      this.#offers.append(offer);
    }
    const named = { name: this.#name, state: this.#state, progress: this.#progress };
    const boxes = { problem: this.#problem.root, notices: this.#notices.root };
    const others = { position: this.#position, safe: this.#safe, answer: this.#answer };
    const fix = { fix: this.#fix.root, tiles: this.#tiles };
    for (const [id, part] of Object.entries({ ...named, ...boxes, ...others, ...fix })) {
      part.id = `${prefix}-${id}`;
    }
    this.#copy.addEventListener("click", () => copyText(this.#fix.text));
    this.#fix.root.append(this.#copy);
    const first = make("div", { class: "run-head" }, this.#name, this.#state);
    this.root = make("div", { class: "run-part" }, first, this.#progress, this.#position);
    this.root.append(this.#tiles, this.#safe, this.#problem.root, this.#notices.root);
    this.root.append(this.#fix.root, this.#use.root, this.#buttons, this.#answer, this.#offers);
    this.#buttons.dataset.prefix = prefix;
  }

  /** @param {Words} words */
  setWords(words) {
    this.#progress.setAttribute("aria-label", words.progress);
    setText(this.#safe, words.safe);
    setText(this.#problem.title, words.problem);
    setText(this.#notices.title, words.notices);
    setText(this.#fix.title, words.fix);
    setText(this.#copy, words.copy);
    this.#use.setWords(words);
    for (const offer of this.#offers.querySelectorAll("button")) setText(offer, words[offer.name]);
  }

  /** @param {HeadData} head */
  show(head) {
    setText(this.#name, head.name);
    setText(this.#state, head.state);
    this.#state.dataset.kind = head.kind;
    this.#showProgress(head);
    this.#showTiles(head.tiles);
    this.#safe.hidden = head.ended || head.kind === "stopping";
    this.#problem.show(head.problem);
    this.#notices.show(head.notices);
    this.#fix.show(head.fix);
    this.#use.show(head.use);
    this.#showButtons(head.buttons);
  }

  /** A press of what changes the run was heard. @param {string} name */
  wait(name) {
    const buttons = [...this.#buttons.querySelectorAll("button")];
    for (const button of buttons) button.disabled ||= button.name === name;
  }

  /**
   * Why what was asked for was not done, and whether it may wait for its turn.
   * @param {string} text
   * @param {boolean} [isOffered]
   */
  answer(text, isOffered = false) {
    setText(this.#answer, text);
    this.#answer.hidden = !text;
    this.#offers.hidden = !isOffered;
  }

  /** Without a share the bar says that something goes on. @param {HeadData} head */
  #showProgress({ share, ended, progress }) {
    this.#progress.hidden = share === null && ended;
    if (share === null) this.#progress.removeAttribute("value");
    else this.#progress.value = Math.round(PERCENT * share);
    setText(this.#position, progress);
    this.#position.hidden = !progress;
  }

  /** @param {Tile[]} tiles */
  #showTiles(tiles) {
    const drawn = [...this.#tiles.children];
    if (drawn.length !== tiles.length) this.#tiles.replaceChildren(...tiles.map(makeTile));
    [...this.#tiles.children].forEach((tile, at) => {
      const [title, value, note] = tile.children;
      setText(title, tiles[at].title);
      setText(value, tiles[at].value);
      setText(note, tiles[at].note);
    });
  }

  /** Buttons that waited can be pressed again. */
  release() {
    this.#showButtons(this.#shown);
  }

  /** One that is there already stays, with the focus that it may have. @param {Button[]} buttons */
  #showButtons(buttons) {
    this.#shown = buttons;
    const drawn = new Map(
      [...this.#buttons.querySelectorAll("button")].map((button) => [button.name, button]),
    );
    const shown = buttons.map((data) => {
      const button = drawn.get(data.name) ?? this.#makeButton(data.name);
      setText(button, data.text);
      button.disabled = !data.enabled;
      button.classList.toggle("primary", data.primary);
      return button;
    });
    const isSame = shown.length === drawn.size && shown.every((each) => drawn.has(each.name));
    if (!isSame) this.#buttons.replaceChildren(...shown);
    this.#buttons.hidden = !shown.length;
  }

  /** @param {string} name */
  #makeButton(name) {
    const id = `${this.#buttons.dataset.prefix}-${name}`;
    const button = make("button", { type: "button", id, name, class: "run-button" });
    button.addEventListener("click", () => this.#press(name, ""));
    return button;
  }
}

/** A box with a title and lines; hidden without any. @param {string} name */
function makeBox(name) {
  const [title, text] = [make("h4"), make("p")];
  const root = make("section", { class: `run-box ${name}`, hidden: true }, title, text);
  /** @param {string} lines */
  const show = (lines) => {
    setText(text, lines);
    root.hidden = !lines;
  };
  return { root, title, text, show };
}

function makeTile() {
  return make("div", {}, make("dt"), make("dd"), make("dd", { class: "run-quiet" }));
}

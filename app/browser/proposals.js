// @ts-check
/** Values that nobody typed: for empty fields, and those that follow from the number of rows. */

import { make, setText } from "./dom.js";

/** @typedef {import("./types").Followed} Followed */
/** @typedef {import("./types").Raw} Raw */
/** @typedef {import("./types").Values} Values */
/** @typedef {{ own: string[], followed: Values }} State */

export class Proposals {
  /** @type {Values} what stands in fields in which nothing was typed, as the name of the next run */
  suggested = {};
  #names;
  /** @type {Set<string>} */
  #own = new Set();
  /** @type {Values} what followed from the rows the last time */
  #followed = {};
  /** Whether a value that follows was left out, as somebody was about to type another. */
  isLate = false;
  #text = make("p", { class: "form-note-text" });
  #back = make("button", { type: "button", class: "form-quiet-button" });
  root = make("div", { class: "form-follow", role: "status", hidden: true });

  /**
   * @param {string[]} names  of the fields whose values follow from the rows
   * @param {string} id  of the way back
   * @param {() => void} back  called when the defaults are wanted
   */
  constructor(names, id, back) {
    this.#names = names;
    this.#back.id = id;
    this.#back.addEventListener("click", back);
    this.root.append(this.#text, this.#back);
  }

  /** The fields that somebody has set, be it to their defaults: their values follow nothing. */
  get own() {
    return [...this.#own];
  }

  /**
   * Somebody has set these fields.
   * @param {string[]} names
   */
  claim(names) {
    for (const name of names) if (this.#names.includes(name)) this.#own.add(name);
  }

  /**
   * Nobody has set these fields any more.
   * @param {string[]} names
   */
  release(names) {
    for (const name of names) this.#own.delete(name);
  }

  /** @returns {State} */
  get state() {
    return { own: this.own, followed: this.#followed };
  }

  /**
   * Forget what was suggested; what somebody has set, and what followed, is as it was.
   * @param {State} [state]  nothing without
   */
  reset(state) {
    this.suggested = {};
    this.#own = new Set(state?.own);
    this.#followed = state?.followed ?? {};
  }

  /**
   * Whether a value followed from the rows, and was not set by anybody.
   * @param {string} name
   * @param {Raw} raw
   */
  isFollowed(name, raw) {
    return !this.#own.has(name) && this.#followed[name] === raw;
  }

  /**
   * Those of some values that follow from the rows.
   * @param {Values} values
   * @returns {Values}
   */
  pick(values) {
    const pairs = Object.entries(values).filter(([name, raw]) => this.isFollowed(name, raw));
    return Object.fromEntries(pairs);
  }

  /**
   * Those of some values that somebody typed.
   * @param {Values} values
   * @returns {Values}
   */
  pickTyped(values) {
    const pairs = Object.entries(values).filter(
      ([name, raw]) => this.suggested[name] !== raw && !this.isFollowed(name, raw),
    );
    return Object.fromEntries(pairs);
  }

  /**
   * Take values for fields in which nothing is typed: for empty ones, and in place of others that
   * were suggested.
   * @param {Values} wanted
   * @param {Values} values  what the fields hold
   * @param {(name: string) => boolean} isEdited
   * @returns {Values}  those that change
   */
  suggest(wanted, values, isEdited) {
    const fresh = Object.entries(wanted).filter(([name, value]) => {
      const held = values[name];
      return (held === "" || held === this.suggested[name]) && held !== value && !isEdited(name);
    });
    this.suggested = { ...this.suggested, ...Object.fromEntries(fresh) };
    return Object.fromEntries(fresh);
  }

  /**
   * Take what follows from the rows for fields that nobody has set; the defaults for others of them.
   * @param {Followed | undefined} followed
   * @param {Values} values  what the fields hold
   * @param {Values} defaults
   * @param {(name: string) => boolean} isEdited
   * @returns {Values}  those that change
   */
  follow(followed, values, defaults, isEdited) {
    setText(this.#text, followed?.line ?? "");
    setText(this.#back, followed?.back ?? "");
    this.root.hidden = !followed?.line;
    const free = this.#names.filter(
      (name) =>
        !this.#own.has(name) &&
        (values[name] === defaults[name] || this.isFollowed(name, values[name])),
    );
    const wanted = followed?.values ?? {};
    const fresh = free.map((name) => /** @type {const} */ ([name, wanted[name] ?? defaults[name]]));
    const other = fresh.filter(([name, raw]) => values[name] !== raw);
    const late = other.filter(([name]) => isEdited(name)).map(([name]) => name);
    this.isLate = late.length > 0;
    const isTaken = (/** @type {readonly [string, unknown]} */ [name]) => !late.includes(name);
    const before = Object.entries(this.#followed).filter(([name]) => late.includes(name));
    this.#followed = Object.fromEntries([...before, ...Object.entries(wanted).filter(isTaken)]);
    return Object.fromEntries(other.filter(isTaken));
  }
}

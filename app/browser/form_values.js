// @ts-check
/** What a form holds: defaults, what was typed, what came from elsewhere, and the way back from Defaults. */

import { openedFields } from "./address.js";
import { valuesOf } from "./channel.js";

/** @typedef {import("./types").Followed} Followed */
/** @typedef {import("./types").FormData} Data */
/** @typedef {import("./types").Raw} Raw */
/** @typedef {import("./types").Schema} Schema */
/** @typedef {import("./types").Values} Values */
/** @typedef {import("./proposals.js").Proposals} Proposals */
/** @typedef {import("./proposals.js").State} State */
/** @typedef {{ values: Values, state: State }} Before */

export class FormValues {
  /** @type {Values} By the name of the field. */
  all;
  /** @type {Values} */
  defaults;
  #proposals;
  #bar;
  /** @type {Before | undefined} What stood there before Defaults was pressed. */
  #before;

  /**
   * @param {Data} data
   * @param {Schema} schema
   * @param {Proposals} proposals
   * @param {Values} held  what this browser kept, and what Python has put there since
   */
  constructor(data, schema, proposals, held) {
    this.#proposals = proposals;
    this.#bar = data.bar;
    this.defaults = Object.fromEntries(
      Object.entries(schema.fields).map(([name, field]) => [
        name,
        field.default ?? (field.kind === "several" ? [] : ""),
      ]),
    );
    proposals.claim(Object.keys(held));
    this.all = { ...this.defaults, ...held, ...openedFields(data.address, schema) };
  }

  /**
   * The person has changed a field.
   * @param {string} name
   * @param {Raw} raw
   */
  type(name, raw) {
    this.#proposals.claim([name]);
    this.#put({ [name]: raw });
    this.#before = undefined;
  }

  /** Put the defaults into all fields. */
  reset() {
    const before = { values: this.all, state: this.#proposals.state };
    this.#replace(this.defaults);
    this.#before = before;
  }

  /** Whether nothing was changed since the defaults were put in. */
  get isUndoable() {
    return this.#before !== undefined;
  }

  undo() {
    if (this.#before) this.#replace(this.#before.values, this.#before.state);
  }

  /**
   * @param {Values} values  of all fields
   * @param {State} [state]  whose they are; nobody's without
   */
  #replace(values, state) {
    this.#proposals.reset(state);
    this.all = values;
    this.#before = undefined;
  }

  /**
   * Put in values that no person typed into these fields.
   * @param {Values} values
   * @param {string[]} free  those of the fields that nobody has set then
   * @returns {string[]}  the fields that hold something else now
   */
  change(values, free) {
    const before = this.all;
    this.#proposals.claim(Object.keys(values));
    this.#proposals.release(free);
    this.#put(values);
    this.#before = undefined;
    return Object.keys(this.all).filter(
      (name) => JSON.stringify(this.all[name]) !== JSON.stringify(before[name]),
    );
  }

  /**
   * Whether the form holds these already.
   * @param {Values} values
   */
  includes(values) {
    return JSON.stringify({ ...this.all, ...values }) === JSON.stringify(this.all);
  }

  /**
   * Which fields nobody has set once Python has changed values. All of them are arguments as somebody
   * wrote them, defaults included; a few that are put back to their defaults are nobody's any more.
   * @param {Values} values
   */
  pickFree(values) {
    const names = Object.keys(values);
    const isWhole = names.length === Object.keys(this.defaults).length;
    return isWhole ? [] : names.filter((name) => values[name] === this.defaults[name]);
  }

  /** The defaults of the fields that follow from the number of rows. */
  pickFollowing() {
    const names = Object.keys(this.#proposals.pick(this.all));
    return Object.fromEntries(names.map((name) => [name, this.defaults[name]]));
  }

  /**
   * Take what follows from the number of rows for fields that nobody has set.
   * @param {Followed | undefined} followed
   * @param {(name: string) => boolean} isEdited
   * @returns {boolean}  whether anything is other now
   */
  follow(followed, isEdited) {
    return this.#put(this.#proposals.follow(followed, this.all, this.defaults, isEdited));
  }

  /**
   * Take values for fields in which nothing is typed.
   * @param {Values} wanted
   * @param {(name: string) => boolean} isEdited
   * @returns {boolean}  whether anything is other now
   */
  suggest(wanted, isEdited) {
    return this.#put(this.#proposals.suggest(wanted, this.all, isEdited));
  }

  /** What the server is told of them: whose they are, and those of the bar with them. */
  describe() {
    const { suggested, own } = this.#proposals;
    const followed = this.#proposals.pick(this.all);
    return { values: this.withBar, put: suggested, followed, own };
  }

  /** Its values, and those of the bar that belongs to it. */
  get withBar() {
    return { ...valuesOf(this.#bar), ...this.all };
  }

  /** Take back what was suggested: the next run has another name. */
  takeBack() {
    this.#put(Object.fromEntries(Object.keys(this.#proposals.suggested).map((name) => [name, ""])));
    this.#proposals.suggested = {};
  }

  /** @param {Values} values */
  #put(values) {
    if (!Object.keys(values).length) return false;
    this.all = { ...this.all, ...values };
    return true;
  }
}

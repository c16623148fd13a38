// @ts-check
/** A change of a form by one click, with the way back until a person changes one of its values. */

import { ownOf, publish } from "./channel.js";

/** @typedef {import("./types").Values} Values */

export class FormChange {
  #form;
  #read;
  /** @type {{ before: Values, after: Values, free: string[] } | undefined} */
  #made;

  /**
   * @param {string} form
   * @param {() => Values} read  what the form holds now
   */
  constructor(form, read) {
    this.#form = form;
    this.#read = read;
  }

  /** Whether there is a way back. */
  get isMade() {
    return this.#made !== undefined;
  }

  /** @param {Values} values */
  make(values) {
    const now = this.#read();
    const before = Object.fromEntries(Object.keys(values).map((name) => [name, now[name]]));
    const own = ownOf(this.#form);
    this.#put(values, []);
    const free = Object.keys(values).filter((name) => !own.includes(name));
    this.#made = { before, after: values, free };
  }

  undo() {
    this.#put(this.#made?.before ?? {}, this.#made?.free ?? []);
  }

  forget() {
    this.#made = undefined;
  }

  /** Whether one of the values is another since, so that there is no way back any more. */
  hasLapsed() {
    const now = this.#read();
    const after = Object.entries(this.#made?.after ?? {});
    const isOther = after.some(
      ([name, value]) => JSON.stringify(now[name]) !== JSON.stringify(value),
    );
    if (isOther) this.forget();
    return isOther;
  }

  /**
   * @param {Values} values
   * @param {string[]} free  the fields that nobody has set then
   */
  #put(values, free) {
    this.forget(); // the form tells of its new values at once
    publish(this.#form, { kind: "change", values, free });
  }
}

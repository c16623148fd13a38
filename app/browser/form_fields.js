// @ts-check
/** The fields of a form: made from its schema, filled with what it holds, hidden where they do not apply. */

import { applies } from "./conditions.js";
import { Field } from "./fields.js";
import { Help } from "./help.js";

/** @typedef {import("./types").Failure} Failure */
/** @typedef {import("./types").Group} Group */
/** @typedef {import("./types").Judgement} Judgement */
/** @typedef {import("./types").Schema} Schema */
/** @typedef {import("./types").Values} Values */
/** @typedef {import("./proposals.js").Proposals} Proposals */

/**
 * @typedef {object} Actions
 * @property {() => Values | undefined} read  what the form holds
 * @property {(kind: string) => Promise<Group[]>} offers
 * @property {(name: string) => void} changed  called when the person has changed a field
 */

export class FormFields {
  /** @type {Map<string, Field>} */
  all = new Map();
  #schema;
  #help = new Help();
  #read;

  /**
   * @param {string} prefix  what the ids of their elements begin with
   * @param {Schema} schema
   * @param {Actions} actions
   */
  constructor(prefix, schema, { read, offers, changed }) {
    this.#schema = schema;
    this.#read = read;
    for (const name of Object.keys(schema.fields)) {
      const field = new Field({
        id: prefix + name,
        data: this.#data(name),
        words: schema.words,
        help: this.#help,
        offers,
        changed: () => changed(name),
      });
      this.all.set(name, field);
    }
  }

  /** @param {string} name */
  get(name) {
    return this.all.get(name);
  }

  /**
   * What a field is, with the options that another field holds.
   * @param {string} name
   */
  #data(name) {
    const field = this.#schema.fields[name];
    const held = field.source ? this.#read()?.[field.source] : [];
    const options = [held ?? []].flat().map((each) => [String(each), String(each)]);
    return {
      ...field,
      choices: [...field.choices, .../** @type {[string, string][]} */ (options)],
    };
  }

  /**
   * Those of some values that these fields hold.
   * @param {Values} values
   * @returns {Values}
   */
  pick(values) {
    return Object.fromEntries(Object.entries(values).filter(([name]) => this.all.has(name)));
  }

  /**
   * Show what the form holds.
   * @param {Values} values
   * @param {Proposals} proposals
   */
  fill(values, proposals) {
    for (const [name, field] of this.all) {
      if (this.#schema.fields[name].source) field.setTexts(this.#data(name), this.#schema.words);
      field.suggested = proposals.suggested[name];
      field.isFollowing = proposals.isFollowed(name, values[name]);
      field.value = values[name];
    }
  }

  /**
   * Nobody is to be blamed for what these fields hold.
   * @param {Iterable<string>} names
   */
  excuse(names) {
    for (const name of names) {
      const field = this.all.get(name);
      if (field) field.isTouched = false;
    }
  }

  /**
   * Hide the fields that do not apply, and those that the mode does not show.
   * @param {Values} values  of the form and the bar
   * @param {(name: string) => boolean} shows
   */
  adapt(values, shows) {
    for (const [name, field] of this.all) {
      field.isApplied = applies(this.#schema.fields[name], values);
      const hidden = !field.isApplied || !shows(name);
      if (field.root.hidden !== hidden) field.root.hidden = hidden;
    }
  }

  /**
   * Show what is to be said of each.
   * @param {Judgement | Failure} judgement
   * @param {boolean} isPressed  whether Start was pressed, so that untouched fields are blamed, too
   */
  remark(judgement, isPressed) {
    const remarks = judgement.ok ? judgement.fields : {};
    for (const [name, field] of this.all) {
      field.setRemark(remarks[name], isPressed || field.isTouched);
    }
  }

  /** Whether somebody may be about to type into a field. @param {string} name */
  hasFocus = (name) => this.all.get(name)?.root.contains(document.activeElement) ?? false;

  /** @param {Schema} schema */
  setTexts(schema) {
    this.#schema = schema;
    this.#help.hide();
    for (const [name, field] of this.all) field.setTexts(this.#data(name), schema.words);
  }
}

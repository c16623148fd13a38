// @ts-check
/** What a form asks the server: what is to be said of its values, once it is seen; what lists offer. */

import { publish } from "./channel.js";
import { language } from "./language.js";
import { askLatest, debounce } from "./requests.js";

/** @typedef {import("./types").Failure} Failure */
/** @typedef {import("./types").FormData} Data */
/** @typedef {import("./types").Group} Group */
/** @typedef {import("./types").Judgement} Judgement */
/** @typedef {import("./types").Values} Values */
/** @typedef {import("./types").Mounted<Values, Data>} Mounted */
/** @typedef {import("./types").Words} Words */
/** @typedef {{ values: Values, put: Values, followed: Values, own: string[] }} Described */

const JUDGE_MS = 25; // less than between two letters; a paste or a choice comes at once

export class Questions {
  /** @type {Judgement | Failure} What was said last. */
  judgement = { ok: false };
  /** Whether the form is judged by itself: a bar is by the forms that it belongs to. */
  isOwn;
  #mounted;
  #ask;
  #askSoon;
  #compose;
  #isDue = false; // whether a judgement is to be asked for once the form is seen
  #isComing = false; // whether another one is about to be asked for
  #isEdited = false; // whether that is of other values, not only in another language

  /**
   * @param {Mounted} mounted
   * @param {() => Described} describe  what the form holds
   * @param {(answer: Judgement | Failure | undefined, isNew: boolean) => void} take  called with the
   *   answer (undefined where there came none), and whether it is of the values that stand there now
   */
  constructor(mounted, describe, take) {
    this.#mounted = mounted;
    const compose = () => ({ ...describe(), lang: language() });
    this.#compose = compose;
    this.isOwn = mounted.data.form !== "bar";
    let question = "";
    this.#ask = askLatest(
      () => {
        this.#isComing = false;
        question = JSON.stringify(compose());
        return mounted.server.judge(compose());
      },
      (answer) => {
        if (this.#isComing) return; // a Start that waits is not for this answer
        take(answer, question === JSON.stringify(compose()));
      },
    );
    this.#askSoon = debounce(JUDGE_MS, this.#ask);
  }

  /** Ask once the form is seen: of a tab that is not seen, when it is opened. */
  listen() {
    new IntersectionObserver(() => this.#askIfSeen()).observe(this.#mounted.element);
  }

  /**
   * Ask what is to be said of the values, now or once the form is seen.
   * @param {boolean} isEdited  whether they are other values, not only in another language
   */
  request(isEdited) {
    if (!this.isOwn) return;
    this.#isDue = true;
    if (isEdited) this.#isEdited = true;
    this.#askIfSeen();
  }

  /** Ask at once, seen or not. */
  askNow() {
    if (this.isOwn) this.#ask();
  }

  #askIfSeen() {
    const { element, data } = this.#mounted;
    if (!this.#isDue || !element.checkVisibility()) return;
    this.#isDue = false;
    publish(data.form, { kind: "asked", isEdited: this.#isEdited });
    this.#isEdited = false;
    this.#isComing = true;
    this.#askSoon();
  }

  /**
   * What was said of a field of the bar is over: where no form that judges it is seen, nobody else
   * would say so.
   * @param {string} name
   */
  acquit(name) {
    if (this.isOwn || !this.judgement.ok) return;
    const { [name]: _, ...fields } = this.judgement.fields;
    this.judgement = { ...this.judgement, fields };
  }

  /**
   * What a list of names offers.
   * @param {string} kind
   * @param {Words} words
   * @returns {Promise<Group[]>}
   */
  async offers(kind, words) {
    const answer = await this.#mounted.server.offers({ kind, ...this.#compose() });
    if (answer?.ok) return answer.groups;
    throw new Error(answer?.errors?.[language()] || words.unchecked);
  }
}

// @ts-check
/** How long a training takes, in how many steps, and what is worth knowing of it, beside Start. */

import { subscribe, valuesOf } from "./channel.js";
import { follow } from "./clock.js";
import { make, setText } from "./dom.js";
import { FormChange } from "./form_change.js";
import { language, onLanguage } from "./language.js";
import { askInTurn, debounce } from "./requests.js";

/** @typedef {import("./types").CourseView} View */
/** @typedef {import("./types").Failure} Failure */
/** @typedef {import("./types").LaunchData} Data */
/** @typedef {import("./types").LaunchServer} Server */
/** @typedef {import("./types").LaunchState} State */
/** @typedef {import("./types").Mounted<State, Data, Server>} Mounted */

const ASK_MS = 400; // after the last judgement, and after the memory has been asked for

export class Course {
  #mounted;
  #root;
  #parts = draw();
  /** @type {View | undefined} */
  #view;
  #change;
  #ask;
  #begun = 0; // when the measurement under way was asked for; 0 without one
  /** @type {Record<string, string> | undefined} why nothing was measured, by language */
  #failure;

  /**
   * @param {Mounted} mounted  the box with Start
   * @param {HTMLElement} root
   */
  constructor(mounted, root) {
    const { element, data, server } = mounted;
    this.#mounted = mounted;
    this.#root = root;
    this.#change = new FormChange(data.form, () => this.#values);
    root.append(...Object.values(this.#parts));
    this.#ask = askInTurn(
      () => server.course({ values: this.#values, lang: language() }),
      (answer) => this.#show(answer),
    );
    const askSoon = debounce(ASK_MS, this.#ask);
    subscribe(data.form, element, (news) => {
      if (news.kind === "judged") askSoon();
      if (news.kind === "started") this.#begun = 0; // a start ends it
      if (news.kind === "values" && this.#change.hasLapsed()) this.#say();
    });
    this.#parts.button.addEventListener("click", () => this.#press());
    this.#parts.measure.addEventListener("click", () =>
      this.#begun ? this.#cancel() : this.#measure(),
    );
    onLanguage(element, () => this.#say());
    this.#say();
  }

  get #values() {
    const { form, bar } = this.#mounted.data;
    return { ...valuesOf(bar), ...valuesOf(form) };
  }

  /** @param {View | Failure | undefined} answer */
  #show(answer) {
    this.#view = answer?.ok && answer.lines.length ? answer : undefined;
    this.#failure = undefined;
    this.#root.hidden = !this.#view;
    const { lines, notices } = this.#view ?? { lines: [], notices: [] };
    this.#parts.lines.replaceChildren(...lines.map((line) => make("p", {}, line)));
    this.#parts.notices.replaceChildren(...notices.map((line) => make("li", {}, line)));
    this.#parts.notices.hidden = !notices.length;
    this.#say();
  }

  /** What is suggested for so few rows; or that it was taken, with the way back. */
  #say() {
    const words = this.#mounted.data.words[language()];
    const { title, suggestion, button } = this.#parts;
    const { isMade } = this.#change;
    const offer = isMade ? "" : (this.#view?.suggestion ?? "");
    setText(title, words.course ?? "");
    setText(suggestion, isMade ? (words.used ?? "") : offer);
    suggestion.hidden = button.hidden = !offer && !isMade;
    setText(button, (isMade ? words.undo : words.use) ?? "");
    this.#sayMeasured(words);
  }

  /**
   * That some steps can be measured, are being measured, or why they were not.
   * @param {import("./types").LaunchWords} words
   */
  #sayMeasured(words) {
    const { measure, measured, elapsed } = this.#parts;
    setText(measure, (this.#begun ? words.cancel : words.measure) ?? "");
    measure.hidden = !this.#begun && !this.#view?.measurable;
    elapsed.hidden = !this.#begun;
    if (this.#begun) setText(elapsed, writeSpan(Date.now() - this.#begun));
    const failure = this.#failure && (this.#failure[language()] ?? words.lost);
    setText(measured, this.#begun ? (words.measuring ?? "") : (failure ?? ""));
    measured.hidden = !measured.textContent;
  }

  /** Measure some steps, then ask anew: the form may have changed meanwhile. */
  async #measure() {
    const begin = Date.now();
    const unfollow = follow(() => this.#say());
    this.#begun = begin;
    this.#failure = undefined;
    this.#say();
    const question = { values: this.#values, lang: language() };
    const answer = await this.#mounted.server.measure(question).catch(() => undefined);
    unfollow();
    if (this.#begun !== begin) return;
    this.#begun = 0;
    if (answer?.ok) await this.#ask();
    else this.#failure = answer?.errors ?? {};
    this.#say();
  }

  /** What it answers then is not wanted any more. */
  #cancel() {
    this.#begun = 0;
    this.#say();
    this.#mounted.server.cancel({ lang: language() });
  }

  /** Put the suggested values into the form, or those before them. */
  #press() {
    if (this.#change.isMade) this.#change.undo();
    else this.#change.make(this.#view?.put ?? {});
    this.#say();
  }
}

/** A span as minutes and seconds. @param {number} span  in milliseconds */
function writeSpan(span) {
  const seconds = Math.floor(span / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function draw() {
  return {
    title: make("h4"),
    lines: make("div", { class: "course-lines", role: "status" }),
    measured: make("p", { role: "status", hidden: true }),
    elapsed: make("p", { class: "course-elapsed", hidden: true }),
    measure: make("button", { type: "button", class: "launch-offer", hidden: true }),
    notices: make("ul", { class: "course-notices", hidden: true }),
    suggestion: make("p", { hidden: true }),
    button: make("button", { type: "button", class: "launch-offer", hidden: true }),
  };
}

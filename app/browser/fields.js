// @ts-check
/** A field of a form: label, (i), control, and a line for what is wrong or worth knowing. */

import { isSame } from "./conditions.js";
import { makeControl } from "./controls.js";
import { make, setText } from "./dom.js";

/** @typedef {import("./help.js").Help} Help */
/** @typedef {import("./types").Field} Data */
/** @typedef {import("./types").Group} Group */
/** @typedef {import("./types").Raw} Raw */
/** @typedef {import("./types").Remark} Remark */
/** @typedef {import("./types").Words} Words */

const WIDE = new Set(["one", "several"]); // of two columns
const LONG = 18; // letters that a choice of one column has room for
const ROWS = new Set(["area", "radio"]); // which fill their row

/**
 * @typedef {object} Setup
 * @property {string} id  of the wrapper
 * @property {Data} data
 * @property {Words} words
 * @property {Help} help
 * @property {(kind: string) => Promise<Group[]>} offers
 * @property {() => void} changed  called when the person has changed it
 */

export class Field {
  /** Whether the person has been here: only then is it marked as wrong. */
  isTouched = false;
  /** Whether it applies with the values of the others. */
  isApplied = true;
  /** @type {Raw | undefined} What was put there for the person, as the name of the next run is. */
  suggested;
  /** Whether its value follows from the number of rows. */
  isFollowing = false;
  /** @type {Remark["level"] | undefined} What there is to say of it, whether or not it is shown. */
  level;
  #data;
  #words;
  #changed;
  #isWide;
  #control;
  #label;
  #info;
  #dot = make("span", { class: "form-dot", role: "img", hidden: true });
  #line = make("p", { class: "form-line", hidden: true });

  /** @param {Setup} setup */
  constructor({ id, data, words, help, offers, changed }) {
    this.#data = data;
    this.#words = words;
    this.#changed = changed;
    const typed = (/** @type {boolean} */ settled) => {
      this.isTouched ||= settled;
      this.#mark();
      changed();
    };
    this.#control = makeControl(`${id}-control`, data, typed, offers);
    this.#label = this.#makeLabel(`${id}-label`);
    this.#info = help.makeButton(this.#label.id, () => this.#explain(help));
    this.#line.id = `${id}-line`;
    const head = make("div", { class: "form-head" }, this.#label, this.#info, this.#dot);
    this.root = make("div", { id, class: `form-field form-${data.kind}` }, head);
    this.#isWide = WIDE.has(data.kind) || data.choices.some(([, text]) => lengthOf(text) > LONG);
    if (this.#isWide) this.root.classList.add("form-wide");
    if (data.kind === "bool") head.prepend(this.#control.root);
    else this.root.append(this.#control.root);
    this.root.append(this.#line);
    this.setTexts(data, words);
  }

  /** @param {string} id */
  #makeLabel(id) {
    if (this.#data.kind !== "radio") {
      return make("label", { id, for: this.#control.target.id });
    }
    this.#control.root.setAttribute("aria-labelledby", id);
    return make("span", { id, class: "form-label" });
  }

  get value() {
    return this.#control.get();
  }

  /** @param {Raw} raw */
  set value(raw) {
    if (JSON.stringify(raw) !== JSON.stringify(this.value)) this.#control.set(raw);
    this.#mark();
  }

  /** How many columns it takes; 0 where it fills a row, however many that has. */
  get columns() {
    if (ROWS.has(this.#data.kind)) return 0;
    return this.#isWide ? 2 : 1;
  }

  focus() {
    this.root.scrollIntoView({ block: "center" });
    this.#control.target.focus({ preventScroll: true });
  }

  /** Whether it differs from its default, and from what was put there for the person. */
  get isChanged() {
    return this.value !== this.suggested && !isSame(this.value, this.#data.default);
  }

  /**
   * @param {Data} data
   * @param {Words} words
   */
  setTexts(data, words) {
    this.#data = data;
    this.#words = words;
    setText(this.#label, data.label);
    this.#info.setAttribute("aria-label", words.more_about);
    this.#info.hidden = !data.help;
    this.#dot.title = words.changed;
    this.#dot.setAttribute("aria-label", words.changed);
    this.#control.setTexts(data, words);
  }

  /**
   * Show what Python has to say of it: what is worth knowing at once, what is wrong only if
   * `isBlamed`.
   * @param {Remark | undefined} remark
   * @param {boolean} isBlamed
   */
  setRemark(remark, isBlamed) {
    this.level = remark?.level;
    const isWrong = remark?.level === "error" && isBlamed;
    const text = remark && (isWrong || remark.level === "notice") ? remark.text : "";
    const target = this.#control.target;
    setText(this.#line, text);
    this.#line.hidden = !text;
    this.root.classList.toggle("form-wrong", isWrong);
    if (isWrong) target.setAttribute("aria-invalid", "true");
    else target.removeAttribute("aria-invalid");
    if (text) target.setAttribute("aria-describedby", this.#line.id);
    else target.removeAttribute("aria-describedby");
  }

  #mark() {
    this.#dot.hidden = !this.isChanged;
  }

  /**
   * What the (i) shows.
   * @param {Help} help
   */
  #explain(help) {
    const { help: text, range, doc } = this.#data;
    const words = this.#words;
    const parts = [make("p", {}, text)];
    if (range) parts.push(make("p", { class: "form-quiet" }, `${words.range}: ${range}`));
    const last = make("p", { class: "form-help-last" });
    if (this.isChanged) last.append(this.#makeReset(help));
    if (doc && isWebAddress(doc)) {
      last.append(make("a", { href: doc, target: "_blank", rel: "noreferrer" }, words.docs));
    }
    return last.hasChildNodes() ? [...parts, last] : parts;
  }

  /** @param {Help} help */
  #makeReset(help) {
    const words = this.#words;
    const plain = this.#textOf(this.#data.default);
    const button = make("button", { type: "button", class: "form-reset" });
    button.append(words.put_back, plain ? ` (${plain})` : "");
    button.addEventListener("click", () => {
      help.hide();
      this.value = this.#data.default ?? (this.#data.kind === "several" ? [] : "");
      this.isTouched = true;
      this.#control.target.focus();
      this.#changed();
    });
    return button;
  }

  /**
   * The words of a value where it is one of the choices.
   * @param {Raw | null} raw
   */
  #textOf(raw) {
    if (raw === null || typeof raw === "boolean") return "";
    const texts = new Map(this.#data.choices);
    return [raw]
      .flat()
      .map((value) => texts.get(value) ?? value)
      .join(", ");
  }
}

/**
 * The length of a text in Latin letters: a Chinese one is as wide as two.
 * @param {string} text
 */
function lengthOf(text) {
  return text.length + (text.match(/[\u2e80-\uffef]/g)?.length ?? 0);
}

/**
 * Whether a link leads to a page; anything else, such as a script, is none.
 * @param {string} address
 */
function isWebAddress(address) {
  return URL.canParse(address, document.baseURI)
    ? /^https?:$/.test(new URL(address, document.baseURI).protocol)
    : false;
}

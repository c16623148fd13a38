// @ts-check
/** Rows of a data set, a page at a time: searched, and shown in one of several views. */

import { subscribe, valuesOf } from "./channel.js";
import { loadStyle, make, setText } from "./dom.js";
import { language, onLanguage } from "./language.js";
import { subscribe as onNews } from "./news.js";
import { grow } from "./tree.js";

/** @typedef {import("./types").RowsData} Data */
/** @typedef {import("./types").RowsQuery} Query */
/** @typedef {import("./types").RowsShown} Shown */
/** @typedef {import("./types").RowsValue} Value */
/** @typedef {import("./types").Mounted<Value, Data, object>} Mounted */

/**
 * Draw it into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount(mounted) {
  await Promise.all([loadStyle("form.css"), loadStyle("list.css"), loadStyle("seen.css")]);
  new RowsView(mounted);
}

class RowsView {
  #mounted;
  #parts;
  /** @type {Query} what is shown, or asked for */
  #query;
  /** @type {Shown | undefined} */
  #shown;
  #isDue = false; // whether the rows of the form are to be read once they are seen
  #set = ""; // the data set of the form

  /** @param {Mounted} mounted */
  constructor(mounted) {
    const { element, data, watch } = mounted;
    this.#mounted = mounted;
    this.#query = { view: data.views[0], first: 0, words: "" };
    this.#parts = draw(element, data);
    this.#listen();
    if (data.form) {
      subscribe(data.form, element, (news) => this.#hear(news));
      this.#hear({ kind: "values", values: valuesOf(data.form) }); // it may be drawn long after the form
    }
    let stamp = "";
    onNews("sets", (text) => {
      if (stamp && stamp !== text) this.#renew();
      stamp = text;
    });
    new IntersectionObserver(() => this.#askIfSeen()).observe(element);
    watch("value", () => this.#take());
    onLanguage(element, () => {
      this.#say();
      if (this.#shown) this.#renew();
    });
    this.#say();
    this.#take();
  }

  #listen() {
    const { views, search, jump, show, previous, next } = this.#parts;
    for (const input of views.inputs) {
      input.addEventListener("change", () => this.#ask({ view: input.value }));
    }
    search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#find();
    });
    // emptied: all rows again
    search.addEventListener("input", () => {
      if (!search.value && this.#query.words) this.#find();
    });
    jump.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.#jump();
    });
    show.addEventListener("click", () => (jump.value.trim() ? this.#jump() : this.#find()));
    previous.addEventListener("click", () => {
      const { first, words } = this.#query;
      this.#ask({ first: words ? 0 : Math.max(0, first - this.#mounted.data.page) });
    });
    next.addEventListener("click", () => this.#ask({ first: this.#shown?.onward ?? 0 }));
  }

  #find() {
    this.#ask({ first: 0, words: this.#parts.search.value.trim() });
  }

  #jump() {
    const number = Number.parseInt(this.#parts.jump.value.replaceAll(",", ""), 10);
    if (number > 0) this.#ask({ first: number - 1 });
  }

  /** @param {import("./types").News} news */
  #hear(news) {
    if (news.kind !== "values") return;
    const { dataset, dataset_dir } = news.values;
    const set = JSON.stringify([dataset, dataset_dir]);
    if (set === this.#set) return;
    this.#set = set;
    this.#query = { ...this.#query, first: 0, words: "" };
    this.#parts.search.value = "";
    this.#renew();
  }

  /** The same rows once more, when they are seen. */
  #renew() {
    this.#isDue = true;
    this.#askIfSeen();
  }

  #askIfSeen() {
    if (!this.#isDue || !this.#mounted.element.checkVisibility()) return;
    this.#ask({});
  }

  /** @param {Partial<Query>} change */
  #ask(change) {
    const { props, trigger } = this.#mounted;
    this.#isDue = false;
    this.#query = { ...this.#query, ...change };
    props.value = { ...this.#query, lang: language() };
    trigger("look");
  }

  /** What Python has answered; it may have chosen other rows. */
  #take() {
    const { value } = this.#mounted.props;
    const shown = value?.shown;
    if (!shown || shown.version === this.#shown?.version) return;
    this.#shown = shown;
    const { view, first, words } = /** @type {Query} */ (value);
    this.#query = { view, first, words };
    this.#isDue = false;
    const { views, search, where, rows, previous, next } = this.#parts;
    for (const input of views.inputs) input.checked = input.value === view;
    if (document.activeElement !== search) search.value = words;
    setText(where, shown.where);
    where.classList.toggle("list-wrong", shown.wrong);
    grow(rows, shown.rows);
    previous.disabled = first === 0;
    next.disabled = shown.onward === first || shown.wrong;
  }

  #say() {
    const { data } = this.#mounted;
    const words = data.words[language()];
    const { views, search, jump, show, previous, next } = this.#parts;
    views.root.setAttribute("aria-label", words.view);
    for (const { value } of views.inputs) setText(views.texts[value], words[`view.${value}`]);
    search.setAttribute("aria-label", words.search);
    search.placeholder = words.search_hint;
    jump.setAttribute("aria-label", words.jump);
    jump.placeholder = words.jump;
    setText(show, words.show);
    setText(previous, words.previous);
    setText(next, words.next);
  }
}

/**
 * @param {HTMLElement} element
 * @param {Data} data
 */
function draw(element, { prefix, views: names }) {
  const views = drawViews(prefix, names);
  const makeInput = (/** @type {string} */ name, /** @type {string} */ type) =>
    make("input", { type, name: prefix + name, autocomplete: "off", spellcheck: "false" });
  const makeButton = (/** @type {string} */ name) =>
    make("button", { id: prefix + name, type: "button", class: "list-action" });
  const search = makeInput("search", "search");
  const jump = makeInput("jump", "text");
  jump.inputMode = "numeric";
  const [show, previous, next] = ["show", "previous", "next"].map(makeButton);
  const where = make("p", { id: `${prefix}where`, class: "list-note", role: "status" });
  const rows = make("div", { id: `${prefix}rows`, class: "seen" });
  const bar = make("div", { class: "seen-bar" }, views.root);
  bar.append(make("div", { id: `${prefix}search`, class: "list-filter" }, search));
  const pages = make("div", { class: "seen-pages" }, previous, next);
  pages.append(make("div", { id: `${prefix}jump`, class: "list-filter" }, jump), show, where);
  element.querySelector(".list")?.append(bar, pages, rows);
  return { views, search, jump, show, previous, next, where, rows };
}

/**
 * One of several views, as a switch.
 * @param {string} prefix
 * @param {string[]} names
 */
function drawViews(prefix, names) {
  /** @type {Record<string, HTMLElement>} */
  const texts = Object.fromEntries(names.map((name) => [name, make("span")]));
  const inputs = names.map((value, at) =>
    make("input", { type: "radio", name: `${prefix}view`, value, checked: at === 0 }),
  );
  const labels = inputs.map((input) => make("label", {}, input, texts[input.value]));
  const look = { id: `${prefix}view`, class: "form-switch", role: "radiogroup" };
  return { root: make("div", look, ...labels), inputs, texts };
}

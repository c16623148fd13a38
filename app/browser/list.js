// @ts-check
/** A list of things: what each is, its state as a pill, and what can be done with it in its row. */

import { loadStyle, make, setText } from "./dom.js";
import { language, onLanguage } from "./language.js";
import { subscribe } from "./news.js";
import { askLatest } from "./requests.js";
import { ListItem } from "./rows.js";

/** @typedef {import("./types").Failure} Failure */
/** @typedef {import("./types").ListAction} Action */
/** @typedef {import("./types").ListData} Data */
/** @typedef {import("./types").ListRow} RowData */
/** @typedef {import("./types").ListServer} Server */
/** @typedef {import("./types").ListView} View */
/** @typedef {import("./types").Mounted<string, Data, Server>} Mounted */

/** @type {Map<string, { place: string, refresh?: () => void }>} where the things of a list lie */
const places = new Map();

/**
 * The things of a list lie elsewhere from now on.
 * @param {string} prefix
 * @param {string} place
 */
export function setPlace(prefix, place) {
  const known = places.get(prefix);
  if (known?.place === place) return;
  places.set(prefix, { ...known, place });
  known?.refresh?.();
}

/**
 * Draw a list into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount(mounted) {
  await loadStyle("list.css");
  new List(mounted);
}

class List {
  #mounted;
  #parts;
  /** @type {Map<string, ListItem>} */
  #rows = new Map();
  /** @type {View | undefined} */
  #view;
  #ask;
  /** @type {Record<string, string>} What was said to the last action, by language. */
  #words = {};
  #isDue = true; // whether it is to be read once it is seen
  #isHidden = true; // whether the chosen row may be out of sight

  /** @param {Mounted} mounted */
  constructor(mounted) {
    const { element, data, watch, server } = mounted;
    this.#mounted = mounted;
    this.#parts = draw(element, data);
    const place = places.get(data.prefix)?.place ?? data.place;
    places.set(data.prefix, { place, refresh: () => this.#refresh() });
    this.#ask = askLatest(
      () => server.read(this.#question()),
      (answer) => this.#take(answer),
    );
    this.#parts.filter.addEventListener("input", () => this.#filter());
    this.#parts.empty.begin.addEventListener("click", () => {
      if (this.#view?.begin) mounted.trigger(this.#view.begin.name);
    });
    for (const name of data.news) this.#hear(name);
    onLanguage(element, () => {
      setText(this.#parts.note, this.#words[language()] ?? "");
      this.#refresh();
    });
    watch("value", () => this.#follow());
    new IntersectionObserver(() => this.#askIfSeen()).observe(element);
    new ResizeObserver(() => this.#fit()).observe(element);
  }

  /**
   * Read the list again after this part of the news.
   * @param {string} name
   */
  #hear(name) {
    let stamp = "";
    subscribe(name, (text) => {
      if (stamp && stamp !== text) this.#refresh();
      stamp = text;
    });
  }

  #question() {
    const { prefix, place } = this.#mounted.data;
    return { lang: language(), place: places.get(prefix)?.place ?? place };
  }

  #refresh() {
    this.#isDue = true;
    this.#askIfSeen();
  }

  #askIfSeen() {
    if (!this.#isDue || !this.#mounted.element.checkVisibility()) return;
    this.#isDue = false;
    this.#ask();
  }

  /** Python has chosen another row, which may be a new one. */
  #follow() {
    const { value } = this.#mounted.props;
    if (value && !this.#rows.has(value)) this.#refresh();
    this.#mark();
    this.#isHidden = true;
    this.#reveal();
  }

  /** Bring the chosen row into sight inside the list; the page itself stays where it is. */
  #reveal() {
    const { scroll, head } = this.#parts;
    const row = this.#rows.get(this.#mounted.props.value ?? "")?.root;
    if (!this.#isHidden || !row?.isConnected) return;
    this.#isHidden = false;
    const [inside, outside] = [row.getBoundingClientRect(), scroll.getBoundingClientRect()];
    const top = outside.top + head.getBoundingClientRect().height;
    if (inside.top < top) scroll.scrollTop += inside.top - top;
    else if (inside.bottom > outside.bottom) scroll.scrollTop += inside.bottom - outside.bottom;
  }

  /** @param {View | Failure | undefined} answer */
  #take(answer) {
    if (!answer?.ok) {
      this.#say(answer?.errors?.[language()] ?? this.#view?.words.unread ?? "", true);
      return;
    }
    this.#view = answer;
    this.#show(answer);
  }

  /** @param {View} view */
  #show(view) {
    const { input, table, head, empty } = this.#parts;
    input.setAttribute("aria-label", view.words.filter);
    input.placeholder = view.words.filter;
    table.setAttribute("aria-label", this.#mounted.data.label[language()]);
    const titles = view.columns.map((title, at) =>
      make("th", { scope: "col", class: view.numbers.includes(at) ? "list-number" : "" }, title),
    );
    head.replaceChildren(...titles, make("th"));
    const rows = view.rows.map((data) => this.#row(data));
    this.#rows = new Map(rows.map((row, at) => [view.rows[at].key, row]));
    for (const [at, row] of rows.entries()) row.set(view.rows[at], view);
    const isEmpty = !rows.length;
    setText(empty.words, isEmpty ? view.empty : "");
    setText(empty.begin, view.begin?.text ?? "");
    empty.begin.hidden = !view.begin;
    empty.root.hidden = !isEmpty || !view.empty;
    this.#filter();
    this.#fit();
    this.#settle();
    this.#reveal();
  }

  /** A choice of what is gone ends; where one is always chosen, it is the first. */
  #settle() {
    const { props, data } = this.#mounted;
    const isGone = !this.#isDue && props.value && !this.#rows.has(props.value);
    if (isGone) props.value = "";
    const [first] = this.#rows.keys();
    if (data.first && !props.value && first !== undefined) props.value = first;
    this.#mark();
  }

  /** @param {RowData} data */
  #row({ key }) {
    return (
      this.#rows.get(key) ??
      new ListItem({ choose: () => this.#choose(key), act: (action) => this.#act(action, key) })
    );
  }

  /** Rows become cards where their columns have no room. */
  #fit() {
    const { table, scroll } = this.#parts;
    const { scrollTop } = scroll;
    table.classList.remove("list-cards");
    table.classList.toggle("list-cards", table.offsetWidth > scroll.clientWidth);
    scroll.scrollTop = scrollTop;
  }

  #filter() {
    const { filter, input, table, body, none } = this.#parts;
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = [...this.#rows.values()];
    const shown = all.filter((row) => words.every((word) => row.text.includes(word)));
    place(
      body,
      shown.map(({ root }) => root),
    );
    filter.hidden = !all.length || !this.#mounted.data.filtered;
    table.hidden = !shown.length;
    none.hidden = shown.length > 0 || !all.length;
    setText(none, none.hidden ? "" : (this.#view?.words.no_match ?? ""));
  }

  #mark() {
    for (const [key, row] of this.#rows) row.isChosen = key === this.#mounted.props.value;
  }

  /** @param {string} key */
  #choose(key) {
    const { props, events, trigger } = this.#mounted;
    props.value = key;
    if (events.includes("choose")) trigger("choose");
    this.#say("");
    this.#mark();
  }

  /**
   * @param {Action} action
   * @param {string} key
   */
  async #act(action, key) {
    const { events, server, trigger } = this.#mounted;
    // the server does what is no event
    if (events.includes(action.name)) {
      this.#choose(key);
      trigger(action.name);
      return;
    }
    const answer = await server.act({ ...this.#question(), action: action.name, key });
    this.#words = (answer?.ok ? answer.words : answer?.errors) ?? {};
    this.#say(this.#words[language()] ?? "", !answer?.ok);
    this.#refresh();
  }

  /**
   * @param {string} text
   * @param {boolean} [isWrong]
   */
  #say(text, isWrong = false) {
    setText(this.#parts.note, text);
    this.#parts.note.classList.toggle("list-wrong", isWrong);
  }
}

/**
 * @param {HTMLElement} element
 * @param {Data} data
 */
function draw(element, { prefix, filtered }) {
  const input = make("input", { type: "search", autocomplete: "off", spellcheck: "false" });
  const filter = make("div", { id: `${prefix}filter`, class: "list-filter" }, input);
  const note = make("p", { id: `${prefix}note`, class: "list-note", role: "status" });
  const [head, body] = [make("tr"), make("tbody")];
  const table = make("table", { hidden: true }, make("thead", {}, head), body);
  const none = make("p", { class: "list-none", hidden: true });
  const empty = {
    words: make("p"),
    begin: make("button", { type: "button", class: "list-begin" }),
    root: make("div", { id: `${prefix}none`, class: "list-empty", hidden: true }),
  };
  empty.root.append(empty.words, empty.begin);
  const scroll = make("div", { class: filtered ? "list-scroll" : "list-scroll list-whole" }, table);
  const root = /** @type {HTMLElement} */ (element.querySelector(".list"));
  root.append(filter, note, scroll, none, empty.root);
  return { filter, input, note, scroll, table, head, body, none, empty };
}

/**
 * Put children into an order without moving those that stand right, so that a focus stays.
 * @param {HTMLElement} parent
 * @param {HTMLElement[]} children
 */
function place(parent, children) {
  for (const each of [...parent.children]) {
    if (!children.includes(/** @type {HTMLElement} */ (each))) each.remove();
  }
  for (const [at, child] of children.entries()) {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  }
}

// @ts-check
/** A list of things: what each is, its state as a pill, and what can be done with it in its row. */

import { loadStyle, setText } from "./dom.js";
import { language, onLanguage } from "./language.js";
import { draw, drawEmpty, drawTitles, markOrder, place } from "./list_parts.js";
import { Picks } from "./list_picks.js";
import { filter, merge, sort } from "./list_rows.js";
import { subscribe } from "./news.js";
import { askLatest } from "./requests.js";
import { ListItem } from "./rows.js";

/** @typedef {import("./types").Failure} Failure */
/** @typedef {import("./types").ListAction} Action */
/** @typedef {import("./types").ListData} Data */
/** @typedef {import("./types").ListOrder} Order */
/** @typedef {import("./types").ListRow} RowData */
/** @typedef {import("./types").ListServer} Server */
/** @typedef {import("./types").ListView} View */
/** @typedef {import("./types").Mounted<string, Data, Server>} Mounted */

const STEP = 100; // rows that are drawn, and more each time that their end comes near

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
  /** @type {RowData[]} all, as the server gives them */
  #rows = [];
  /** @type {Map<string, RowData>} */
  #byKey = new Map();
  /** @type {RowData[]} those that the filter leaves, in the order of the list */
  #shown = [];
  /** @type {Map<string, ListItem>} those of them that are drawn: the upper ones */
  #items = new Map();
  #limit = STEP;
  /** @type {Order | undefined} */
  #order;
  /** @type {View | undefined} */
  #view;
  #ask;
  #cursor = ""; // of the last answer that holds all rows
  #isPart = false; // whether only the first rows are here, and the others asked for
  /** @type {Record<string, string>} What was said to the last action, by language. */
  #words = {};
  #isDue = true; // whether it is to be read once it is seen
  #isHidden = true; // whether the chosen row may be out of sight
  /** @type {Picks | undefined} Of a list whose rows can be ticked. */
  #picks;

  /** @param {Mounted} mounted */
  constructor(mounted) {
    const { element, data, watch, server } = mounted;
    this.#mounted = mounted;
    this.#parts = draw(element, data);
    if (data.picks) this.#picks = this.#makePicks(data.prefix);
    const place = places.get(data.prefix)?.place ?? data.place;
    places.set(data.prefix, { place, refresh: () => this.#restart() });
    this.#ask = askLatest(
      () => server.read({ ...this.#question(), cursor: this.#cursor, first: !this.#isPart }),
      (answer) => this.#take(answer),
    );
    this.#parts.input.addEventListener("input", () => this.#arrange());
    this.#parts.scroll.addEventListener("scroll", () => this.#drawMore());
    this.#parts.empty.begin.addEventListener("click", () => {
      if (this.#view?.begin) mounted.trigger(this.#view.begin.name);
    });
    for (const name of data.news) this.#hear(name);
    onLanguage(element, () => {
      setText(this.#parts.note, this.#words[language()] ?? "");
      this.#restart();
    });
    watch("value", () => this.#follow());
    new IntersectionObserver(() => this.#askIfSeen()).observe(element);
    new ResizeObserver(() => this.#fit()).observe(element);
  }

  /** @param {string} prefix */
  #makePicks(prefix) {
    const picks = new Picks(prefix, this.#mounted.server, {
      changed: () => this.#mark(),
      say: (text, isWrong) => this.#say(text, isWrong),
      refresh: (key) => {
        if (key) this.#mounted.props.value = key;
        this.#refresh();
      },
    });
    this.#parts.note.before(picks.root);
    return picks;
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

  /** Read all rows: they are others, or in other words. */
  #restart() {
    this.#cursor = "";
    this.#isPart = false;
    this.#refresh();
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
    if (value && !this.#byKey.has(value)) this.#refresh();
    this.#mark();
    this.#isHidden = true;
    this.#reveal();
  }

  /** Bring the chosen row into sight inside the list; the page itself stays where it is. */
  #reveal() {
    if (!this.#isHidden) return;
    const { scroll, head } = this.#parts;
    const key = this.#mounted.props.value ?? "";
    const at = this.#shown.findIndex((row) => row.key === key);
    if (at >= this.#limit) this.#draw(at + STEP);
    const row = this.#items.get(key)?.root;
    if (!row?.isConnected) return;
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
    this.#rows = merge(this.#rows, answer);
    this.#byKey = new Map(this.#rows.map((row) => [row.key, row]));
    this.#cursor = answer.cursor;
    this.#isPart = !answer.cursor;
    this.#picks?.setWords({ ...answer.picks, no: answer.words.no, lost: answer.words.unread });
    if (!this.#isPart) this.#picks?.keep((key) => this.#byKey.has(key));
    this.#show(answer);
    if (this.#isPart) this.#ask();
  }

  /** @param {View} view */
  #show(view) {
    const { filter, input, table, head, empty } = this.#parts;
    const { label, filtered } = this.#mounted.data;
    input.setAttribute("aria-label", view.words.filter);
    input.placeholder = view.words.filter;
    table.setAttribute("aria-label", label[language()]);
    drawTitles(head, view, filtered ? (column) => this.#sortBy(column) : undefined);
    drawEmpty(empty, view, !this.#rows.length);
    filter.hidden = !this.#rows.length || !filtered;
    this.#arrange(this.#limit);
    this.#fit();
    this.#settle();
    this.#reveal();
  }

  /** A choice of what is gone ends; where one is always chosen, it is the first. */
  #settle() {
    const { props, data } = this.#mounted;
    const isGone = !this.#isDue && !this.#isPart && props.value && !this.#byKey.has(props.value);
    if (isGone) props.value = "";
    const [first] = this.#rows;
    if (data.first && !props.value && first) props.value = first.key;
    this.#mark();
  }

  /** Rows become cards where their columns have no room. */
  #fit() {
    const { table, scroll } = this.#parts;
    const { scrollTop } = scroll;
    table.classList.remove("list-cards");
    table.classList.toggle("list-cards", table.offsetWidth > scroll.clientWidth);
    scroll.scrollTop = scrollTop;
  }

  /**
   * By this column upwards, then downwards, then as the server has them.
   * @param {number} column
   */
  #sortBy(column) {
    const { column: before, isDown } = this.#order ?? {};
    if (column !== before) this.#order = { column, isDown: false };
    else this.#order = isDown ? undefined : { column, isDown: true };
    this.#arrange();
    this.#parts.scroll.scrollTop = 0;
  }

  /**
   * Filter and sort the rows.
   * @param {number} [limit]  how many of them are drawn
   */
  #arrange(limit = STEP) {
    const { input, table, none, head } = this.#parts;
    this.#shown = sort(filter(this.#rows, input.value), this.#order);
    markOrder(head, this.#order);
    table.hidden = !this.#shown.length;
    table.setAttribute("aria-rowcount", `${this.#shown.length + 1}`);
    none.hidden = this.#shown.length > 0 || !this.#rows.length;
    setText(none, none.hidden ? "" : (this.#view?.words.no_match ?? ""));
    this.#draw(limit);
  }

  /**
   * Draw the upper rows: of thousands a person sees a few, and more as the list is scrolled.
   * @param {number} limit
   */
  #draw(limit) {
    const view = this.#view;
    if (!view) return;
    this.#limit = limit;
    const rows = this.#mounted.data.filtered ? this.#shown.slice(0, limit) : this.#shown;
    const items = new Map(rows.map((data) => [data.key, this.#makeItem(data)]));
    for (const data of rows) items.get(data.key)?.set(data, view);
    this.#items = items;
    place(
      this.#parts.body,
      [...items.values()].map(({ root }) => root),
    );
    this.#mark();
  }

  #drawMore() {
    const { scrollTop, clientHeight, scrollHeight } = this.#parts.scroll;
    const isNear = scrollTop + 2 * clientHeight > scrollHeight;
    if (isNear && this.#limit < this.#shown.length) this.#draw(this.#limit + STEP);
  }

  /** @param {RowData} data */
  #makeItem({ key }) {
    const picks = this.#picks;
    const pick = picks && ((/** @type {string} */ name) => picks.toggle({ key, name }));
    const choose = () => this.#choose(key);
    const act = (/** @type {Action} */ action) => this.#act(action, key);
    return this.#items.get(key) ?? new ListItem({ choose, act, pick });
  }

  #mark() {
    for (const [key, item] of this.#items) {
      item.isChosen = key === this.#mounted.props.value;
      item.isPicked = this.#picks?.has(key) ?? false;
    }
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

// @ts-check
/** The elements of a hub's box: its form, results of a search, downloads, what lies on this disk. */

import { make, setText } from "./dom.js";
import { writeTime } from "./language.js";

/** @typedef {import("./types").HubData} Data */
/** @typedef {import("./types").HubDownload} Download */
/** @typedef {import("./types").HubResult} Result */
/** @typedef {import("./types").HubTransfer} Transfer */
/** @typedef {Record<string, string>} Words */
/** @typedef {{ text: string, name: string, act: () => void, isFirst?: boolean }} Action */

/** @type {WeakMap<HTMLElement, string>} what each list shows */
const drawn = new WeakMap();

/**
 * @param {HTMLElement} element
 * @param {Data} data
 */
export function draw(element, { kind, hubs, example }) {
  const id = (/** @type {string} */ name) => `hub-${kind}-${name}`;
  const title = make("summary", {});
  const words = make("input", { id: id("words"), type: "search", autocomplete: "off" });
  words.placeholder = example;
  const options = hubs.map((value) => make("option", { value }));
  const hub = make("select", { id: id("hub") }, ...options);
  const token = make("input", { id: id("token"), type: "password", autocomplete: "off" });
  const search = make("button", { id: id("search"), class: "list-action" });
  const labels = {
    words: make("span"),
    hub: make("span"),
    token: make("span"),
  };
  const form = make(
    "form",
    { class: "hub-form" },
    make("label", { class: "hub-words" }, labels.words, words),
    make("label", {}, labels.hub, hub),
    make("label", {}, labels.token, token),
    search,
  );
  const said = make("p", { id: id("said"), class: "list-note", role: "status" });
  const transfers = make("ul", { id: id("transfers"), class: "hub-rows" });
  const results = make("ul", { id: id("results"), class: "hub-rows hub-results" });
  const [disk, place] = [make("h4"), make("p", { id: id("place"), class: "list-detail" })];
  const downloads = make("ul", { id: id("disk"), class: "hub-rows" });
  const here = make("section", { class: "hub-here", hidden: true }, disk, place, downloads);
  const root = /** @type {HTMLDetailsElement} */ (element.querySelector(".hub"));
  root.append(title, form, said, transfers, results, here);
  return {
    ...{ root, title, form, words, hub, token, search, labels, said },
    ...{ transfers, results, here, disk, place, downloads },
  };
}

/**
 * Draw the rows of a list anew, where they have changed.
 * @param {HTMLElement} list
 * @param {unknown} data  what they show
 * @param {() => HTMLElement[]} drawRows
 */
export function fill(list, data, drawRows) {
  const key = JSON.stringify(data);
  if (drawn.get(list) === key) return;
  drawn.set(list, key);
  list.replaceChildren(...drawRows());
  list.hidden = !list.childElementCount;
}

/**
 * A result of a search.
 * @param {Result} result
 * @param {Action[]} actions
 */
export function drawResult(result, actions) {
  const note = make("p", { class: result.is_usable ? "hub-note" : "hub-note hub-obstacle" });
  note.textContent = result.note;
  return drawRow(result.name, result.detail, [note], actions);
}

/**
 * The first rows of a data set, below its result.
 * @param {import("./types").HubLook} look
 */
export function drawLook({ line, columns, cells }) {
  const titles = columns.map((name) => make("th", { scope: "col" }, name));
  const rows = cells.map((texts) => make("tr", {}, ...texts.map((text) => make("td", {}, text))));
  const table = make("table", {}, make("thead", {}, make("tr", {}, ...titles)));
  table.append(make("tbody", {}, ...rows));
  const scroll = make("div", { class: "hub-scroll", tabindex: "0" }, table);
  return make("div", { class: "hub-look" }, make("p", { class: "list-detail" }, line), scroll);
}

/** A download that goes on, or has ended. */
export class TransferRow {
  #bar = make("progress", { max: "1" });
  #line = make("p", { class: "hub-line", role: "status" });
  root;

  /**
   * @param {Transfer} transfer
   * @param {Action[]} actions
   */
  constructor(transfer, actions) {
    const { name, step } = transfer;
    const box = make("div", { class: "work-bar" }, this.#bar);
    box.hidden = step !== "busy" && step !== "stopped";
    this.#bar.setAttribute("aria-label", name);
    this.#line.classList.toggle("list-wrong", step === "failed");
    this.root = drawRow(name, "", [box, this.#line], actions);
    this.root.dataset.step = step;
    this.update(transfer);
  }

  /**
   * How far it is by now.
   * @param {Transfer} transfer
   */
  update({ share, line }) {
    if (share === null) this.#bar.removeAttribute("value");
    else this.#bar.value = share;
    setText(this.#line, line);
  }
}

/**
 * What lies on this disk; before it is deleted, that is asked in its row.
 * @param {Download} download
 * @param {Words} words
 * @param {Action[]} actions
 * @param {() => void} remove
 */
export function drawDownload(download, words, actions, remove) {
  const detail = `${download.detail} · ${words.used} ${writeTime(download.time)}`;
  const row = drawRow(download.name, detail, [], actions);
  const box = /** @type {HTMLElement} */ (row.lastElementChild);
  const before = [...box.childNodes];
  const restore = () => box.replaceChildren(...before, button);
  const button = makeButton({ text: words.delete, name: "delete", act: ask });
  box.append(button);

  function ask() {
    const yes = makeButton({ text: words.delete, name: "delete-yes", act: remove });
    const no = makeButton({ text: words.keep, name: "delete-no", act: restore });
    yes.classList.add("list-danger");
    box.replaceChildren(make("p", { class: "hub-question" }, download.question), yes, no);
    no.focus();
  }
  return row;
}

/**
 * @param {string} name
 * @param {string} detail
 * @param {HTMLElement[]} parts
 * @param {Action[]} actions
 */
function drawRow(name, detail, parts, actions) {
  const head = make("b", { class: "hub-name" }, name);
  const text = make(
    "div",
    { class: "hub-text" },
    head,
    make("p", { class: "list-detail" }, detail),
  );
  text.append(...parts);
  const buttons = make("div", { class: "hub-actions" }, ...actions.map(makeButton));
  const row = make("li", { class: "hub-row", "data-name": name }, text, buttons);
  return row;
}

/** @param {Action} action */
function makeButton({ text, name, act }) {
  const button = make(
    "button",
    { type: "button", class: "list-action", "data-action": name },
    text,
  );
  button.addEventListener("click", act);
  return button;
}

// @ts-check
/** A row of a list: its cells, its actions, and the question before one that cannot be undone. */

import { make, setText } from "./dom.js";
import { readCell } from "./list_rows.js";

/** @typedef {import("./types").ListAction} Action */
/** @typedef {import("./types").ListCell} Cell */
/** @typedef {import("./types").ListRow} Data */
/** @typedef {import("./types").ListView} View */

/**
 * @typedef {object} Acts
 * @property {() => void} choose
 * @property {(action: Action) => void} act
 * @property {((name: string) => void) | undefined} [pick]  it was ticked, or is no more; nothing where
 *   rows cannot be
 */

export class ListItem {
  root = make("tr", { class: "list-row" });
  #name = make("button", { type: "button", class: "list-name" });
  #box = make("input", { type: "checkbox", class: "list-pick" });
  #acts;
  #drawn = "";

  /** @param {Acts} acts */
  constructor(acts) {
    this.#acts = acts;
    this.root.addEventListener("click", (event) => {
      const { target } = event;
      if (this.#name.disabled) return;
      if (!(target instanceof Element)) acts.choose();
      else if (!target.closest(".list-actions, .list-pick")) acts.choose();
    });
    this.#box.addEventListener("change", () => acts.pick?.(this.#name.textContent ?? ""));
  }

  /** @param {boolean} isChosen */
  set isChosen(isChosen) {
    this.root.classList.toggle("list-chosen", isChosen);
    if (isChosen) this.#name.setAttribute("aria-current", "true");
    else this.#name.removeAttribute("aria-current");
  }

  /** @param {boolean} isPicked */
  set isPicked(isPicked) {
    this.#box.checked = isPicked;
  }

  /**
   * Draw what has changed.
   * @param {Data} data
   * @param {View} view
   */
  set(data, view) {
    const now = JSON.stringify([data, view.columns, view.words.no]);
    if (now === this.#drawn) return;
    this.#drawn = now;
    const isFixed = data.fixed ?? false;
    this.#name.disabled = isFixed;
    this.root.classList.toggle("list-fixed", isFixed);
    const cells = data.cells.map((cell, at) => this.#cell(cell, at, view));
    const hadFocus = this.root.contains(document.activeElement);
    const actions = make("td", { class: "list-actions" });
    actions.append(...this.#buttons(data.actions ?? [], view, actions));
    this.root.replaceChildren(...cells, actions);
    if (hadFocus && document.activeElement !== this.#box) this.#name.focus();
  }

  /**
   * @param {Cell} cell
   * @param {number} at
   * @param {View} view
   */
  #cell(cell, at, view) {
    const kind = view.numbers.includes(at) ? "list-number" : "";
    const box = make("td", { class: kind, "data-title": view.columns[at] });
    const [text, detail] = readCell(cell);
    if (at === 0) {
      setText(this.#name, text);
      this.#box.setAttribute("aria-label", `${view.picks?.pick ?? ""} ${text}`);
      if (this.#acts.pick) box.append(this.#box);
      box.append(this.#name);
    } else if (cell.tone) {
      box.append(make("span", { class: `list-pill list-${cell.tone}` }, text));
    } else {
      box.append(text);
    }
    if (detail) box.append(make("div", { class: "list-detail" }, detail));
    return box;
  }

  /**
   * @param {Action[]} actions
   * @param {View} view
   * @param {HTMLElement} place
   * @returns {HTMLElement[]}
   */
  #buttons(actions, view, place) {
    return actions.map((action) => {
      const button = makeButton(action.text, action.name);
      button.addEventListener("click", () => {
        if (action.question) this.#confirm(action, view, place);
        else this.#acts.act(action);
      });
      return button;
    });
  }

  /**
   * Ask in the place of the buttons.
   * @param {Action} action
   * @param {View} view
   * @param {HTMLElement} place
   */
  #confirm(action, view, place) {
    const before = [...place.childNodes];
    const [yes, no] = [
      makeButton(action.confirm ?? "", `${action.name}-yes`),
      makeButton(view.words.no, `${action.name}-no`),
    ];
    yes.classList.add("list-danger");
    yes.addEventListener("click", () => {
      place.replaceChildren(...before);
      this.#acts.act(action);
    });
    no.addEventListener("click", () => {
      place.replaceChildren(...before);
      this.#name.focus();
    });
    place.replaceChildren(make("p", { class: "list-question" }, action.question ?? ""), yes, no);
    no.focus();
  }
}

/**
 * @param {string} text
 * @param {string} name
 */
function makeButton(text, name) {
  return make("button", { type: "button", class: "list-action", "data-action": name }, text);
}

// @ts-check
/** The (i) of a field: its whole help in a popover, by hover, focus or tap; Escape closes it. */

import { make } from "./dom.js";
import { openPopup } from "./popup.js";

const REST_MS = 120; // so long the pointer rests before a popover opens
const LEAVE_MS = 200; // and so long it may be on its way into it

/** @typedef {() => Node[]} Contents */

/** One popover for all fields of a form. */
export class Help {
  #popup = make("div", { popover: "manual", class: "form-popup form-help", role: "group" });
  /** @type {HTMLButtonElement | undefined} */
  #button;
  /** @type {(() => void) | undefined} */
  #close;
  #pinned = false;
  #timer = 0;

  constructor() {
    this.#popup.addEventListener("pointerenter", () => clearTimeout(this.#timer));
    this.#popup.addEventListener("pointerleave", () => this.#leave());
    this.#popup.addEventListener("focusout", (event) => this.#blur(event));
  }

  /**
   * The button of one field.
   * @param {string} labelId  of the label that the help is about
   * @param {Contents} contents
   */
  makeButton(labelId, contents) {
    const button = make("button", {
      type: "button",
      class: "form-info",
      "aria-expanded": "false",
      "aria-describedby": labelId,
    });
    button.addEventListener("pointerenter", (event) => {
      if (event.pointerType !== "mouse") return;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#show(button, contents), REST_MS);
    });
    button.addEventListener("pointerleave", () => this.#leave());
    button.addEventListener("focus", () => this.#show(button, contents));
    button.addEventListener("focusout", (event) => this.#blur(event));
    button.addEventListener("click", () => {
      const again = this.#pinned && this.#button === button;
      this.#show(button, contents);
      this.#pinned = true;
      if (again) this.hide();
    });
    return button;
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {Contents} contents
   */
  #show(button, contents) {
    clearTimeout(this.#timer);
    if (this.#button === button) return;
    this.hide();
    this.#button = button;
    this.#popup.replaceChildren(...contents());
    button.after(this.#popup);
    button.setAttribute("aria-expanded", "true");
    this.#close = openPopup(this.#popup, button, "above");
    document.addEventListener("keydown", this.#escape, true);
    document.addEventListener("pointerdown", this.#press, true);
  }

  hide() {
    clearTimeout(this.#timer);
    document.removeEventListener("keydown", this.#escape, true);
    document.removeEventListener("pointerdown", this.#press, true);
    this.#button?.setAttribute("aria-expanded", "false");
    this.#close?.();
    this.#close = this.#button = undefined;
    this.#pinned = false;
  }

  #leave() {
    clearTimeout(this.#timer);
    if (this.#pinned || this.#holds(document.activeElement)) return;
    this.#timer = setTimeout(() => this.hide(), LEAVE_MS);
  }

  /** @param {FocusEvent} event */
  #blur(event) {
    if (!this.#holds(event.relatedTarget)) this.hide();
  }

  #escape = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    if (this.#popup.contains(document.activeElement)) this.#button?.focus();
    this.hide();
  };

  #press = (/** @type {Event} */ event) => {
    if (!this.#holds(event.target)) this.hide();
  };

  /** @param {EventTarget | null} target */
  #holds(target) {
    const node = /** @type {Node | null} */ (target);
    return this.#popup.contains(node) || this.#button?.contains(node) === true;
  }
}

// @ts-check
/** What an exported model is used with: commands to copy, and its download. */

import { copyText } from "./clipboard.js";
import { make, setText } from "./dom.js";

/** @typedef {import("./run_types").Head["use"]} Uses */

export class Use {
  #title = make("h4");
  #list = make("ul", { class: "run-commands" });
  #download = make("a", { download: "", class: "run-button", hidden: true });
  root = make("section", { class: "run-box", hidden: true }, this.#title, this.#list);
  #copy = "";

  /** @param {string} prefix  of the element ids */
  constructor(prefix) {
    this.root.id = `${prefix}-use`;
    this.#download.id = `${prefix}-download-export`;
    this.root.append(this.#download);
  }

  /** @param {Record<string, string>} words */
  setWords(words) {
    this.#copy = words.copy;
    setText(this.#title, words.use);
    setText(this.#download, words.download_export);
    for (const button of this.#list.querySelectorAll("button")) this.#name(button);
  }

  /** @param {Uses} uses */
  show({ commands, download }) {
    const drawn = [...this.#list.querySelectorAll("code")].map((code) => code.textContent);
    if (drawn.join("\n") !== commands.join("\n")) {
      this.#list.replaceChildren(...commands.map((command) => this.#makeLine(command)));
    }
    this.#list.hidden = !commands.length;
    this.#download.hidden = !download;
    if (download) this.#download.href = download;
    this.root.hidden = !commands.length && !download;
  }

  /** @param {string} command */
  #makeLine(command) {
    const code = make("code", {}, command);
    const button = make("button", { type: "button", class: "run-button run-small" });
    button.addEventListener("click", () => copyText(code));
    const line = make("li", {}, code, button);
    this.#name(button);
    return line;
  }

  /**
   * Also for those who do not see which command it stands beside.
   * @param {HTMLButtonElement} button
   */
  #name(button) {
    setText(button, this.#copy);
    const command = button.previousElementSibling?.textContent ?? "";
    button.setAttribute("aria-label", `${this.#copy}: ${command}`);
  }
}

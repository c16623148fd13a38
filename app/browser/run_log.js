// @ts-check
/** The log of a run: appended as it grows, searched, downloaded. */

import { make, setText } from "./dom.js";
import { debounce } from "./requests.js";

/** @typedef {import("./run_types").LogNews} LogNews */

const SEARCH_MS = 250;
const NEAR_END = 40; // pixels within which a reader is at the end
const MOST = 200_000; // characters that stay

export class Log {
  root;
  #text = document.createTextNode("");
  #rest = document.createTextNode("");
  #box = make("pre", { tabindex: "0", role: "region" }, this.#text, this.#rest);
  #note = make("p", { class: "run-empty", hidden: true });
  #title = make("h4");
  #search = make("input", { type: "search", maxlength: "200", autocomplete: "off" });
  #download = make("a", { download: "log.txt", class: "run-button", hidden: true });

  /**
   * @param {string} prefix  of the element ids
   * @param {(search: string) => void} searched
   */
  constructor(prefix, searched) {
    this.#box.id = `${prefix}-log`;
    this.#search.id = `${prefix}-search`;
    this.#download.id = `${prefix}-download`;
    const look = debounce(SEARCH_MS, () => searched(this.#search.value.trim()));
    this.#search.addEventListener("input", look);
    const bar = make("div", { class: "run-bar" }, this.#title, this.#search, this.#download);
    this.root = make("section", { class: "run-log" }, bar, this.#note, this.#box);
  }

  /** @param {Record<string, string>} words */
  setWords(words) {
    setText(this.#title, words.log);
    this.#box.setAttribute("aria-label", words.log);
    this.#search.setAttribute("aria-label", words.search);
    this.#search.placeholder = words.search;
    setText(this.#download, words.download);
  }

  /** Where the whole log is downloaded. @param {string} place */
  setDownload(place) {
    this.#download.hidden = !place;
    if (place) this.#download.href = place;
  }

  clear() {
    this.take({ cursor: "", anew: true, text: "", rest: "", note: "" });
  }

  /** It stays at its end unless the reader has scrolled up. @param {LogNews} news */
  take(news) {
    const box = this.#box;
    const isAtEnd = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_END;
    const before = news.anew ? "" : this.#text.data;
    const added = news.text ? `${news.text}\n` : "";
    if (news.anew || before.length + added.length > MOST) {
      this.#text.data = end(before + added);
    } else {
      this.#text.appendData(added);
    }
    this.#rest.data = news.rest;
    setText(this.#note, news.note);
    this.#note.hidden = !news.note;
    if (isAtEnd || news.anew) box.scrollTop = box.scrollHeight;
  }
}

/**
 * The last lines of a text.
 * @param {string} text
 */
function end(text) {
  if (text.length <= MOST) return text;
  const cut = text.slice(-MOST / 2);
  return cut.slice(cut.indexOf("\n") + 1);
}

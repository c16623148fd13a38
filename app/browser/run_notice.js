// @ts-check
/** Tell a person who looks elsewhere, by a notification of the system, how a run does. */

import { make, setText } from "./dom.js";
import { recall, store } from "./storage.js";

/** @typedef {import("./run_types").Head} HeadData */

const KEY = "tuneboard-notify";
const ON = "on";
const LOOK_MS = 15_000; // how often a page that is not seen looks at the run

export class Notice {
  root = make("div", { class: "run-notify" });
  #button = make("button", { type: "button", class: "run-button run-small" });
  #answer = make("span", { class: "run-quiet", role: "status" });
  #look;
  /** @type {Record<string, string>} */
  #words = {};
  /** @type {HeadData | undefined} */
  #head;
  #timer = 0;

  /**
   * @param {string} prefix  of the element ids
   * @param {() => void} look  asks for news of the run
   */
  constructor(prefix, look) {
    this.#look = look;
    this.#button.id = `${prefix}-notify`;
    this.#button.addEventListener("click", () => this.#press());
    this.root.append(this.#button, this.#answer);
    document.addEventListener("visibilitychange", () => this.#wait());
    this.#show();
  }

  /** @param {Record<string, string>} words */
  setWords(words) {
    this.#words = words;
    this.#show();
  }

  /** The run that is shown, as it is now. @param {HeadData | undefined} head */
  take(head) {
    const before = this.#head;
    this.#head = head;
    this.#show();
    this.#wait();
    if (!head || !before || before.files !== head.files || before.ended || !this.#isOn) return;
    if (head.ended) this.#tell(head, head.problem || head.progress);
    else this.#tell(head, listNew(before.notices, head.notices));
  }

  get #isOn() {
    return isSupported() && Notification.permission === "granted" && recall(KEY) === ON;
  }

  async #press() {
    if (this.#isOn) store(KEY, "");
    else if ((await Notification.requestPermission()) === "granted") store(KEY, ON);
    this.#show();
    this.#wait();
  }

  #show() {
    this.root.hidden = !isSupported() || !this.#head || this.#head.ended;
    if (this.root.hidden) return;
    setText(this.#button, this.#words.notify ?? "");
    this.#button.setAttribute("aria-pressed", String(this.#isOn));
    const isBlocked = Notification.permission === "denied";
    this.#button.disabled = isBlocked;
    setText(this.#answer, isBlocked ? (this.#words.notify_blocked ?? "") : "");
  }

  /** While nobody sees the page its clock stands still: look from time to time. */
  #wait() {
    clearTimeout(this.#timer);
    if (!document.hidden || !this.#isOn || !this.#head || this.#head.ended) return;
    this.#timer = setTimeout(() => {
      this.#look();
      this.#wait();
    }, LOOK_MS);
  }

  /**
   * @param {HeadData} head
   * @param {string} body
   */
  #tell({ name, state, files }, body) {
    if (!body || !document.hidden) return;
    new Notification(`${name}: ${state}`, { body, tag: files });
  }
}

/** Browsers notify only from pages that nobody on the way can change: loopback, or TLS. */
function isSupported() {
  return window.isSecureContext && "Notification" in window;
}

/**
 * The lines of a text that the one before has not.
 * @param {string} before
 * @param {string} now
 */
function listNew(before, now) {
  const known = new Set(before.split("\n"));
  return now
    .split("\n")
    .filter((line) => !known.has(line))
    .join("\n");
}

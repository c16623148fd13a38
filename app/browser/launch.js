// @ts-check
/** The box with Start: what is missing, the answer to a press, the problems and the command. */

import { publish, subscribe } from "./channel.js";
import { copyText } from "./clipboard.js";
import { Course } from "./course.js";
import { loadStyle, make, setText } from "./dom.js";
import { language, onLanguage } from "./language.js";
import { Memory } from "./memory.js";
import { subscribe as hearNews } from "./news.js";
import { barOf } from "./run_bar.js";

/** @typedef {import("./types").Failure} Failure */
/** @typedef {import("./types").Judgement} Judgement */
/** @typedef {import("./types").LaunchData} Data */
/** @typedef {import("./types").LaunchState} State */
/** @typedef {import("./types").LaunchServer} Server */
/** @typedef {import("./types").Mounted<State, Data, Server>} Mounted */
/** @typedef {import("./types").News} News */

const LOST_MS = 60_000; // after so long without an answer Start can be pressed again
const COPIED_MS = 2000;
const IDLE = { state: "idle", texts: {}, how: "", offers: false };

/**
 * Draw a launch box into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount(mounted) {
  await loadStyle("form.css");
  new Launch(mounted);
}

class Launch {
  #mounted;
  #parts;
  /** @type {Judgement | Failure | undefined} */
  #judgement;
  #isAsked = false; // whether a judgement of the present values is on its way
  #isWaiting = false; // whether Start was pressed meanwhile
  #isPressed = false;
  #isCopied = false;
  #timer = 0;
  #stamp = ""; // of the runs

  /** @param {Mounted} mounted */
  constructor(mounted) {
    const { element, data, watch } = mounted;
    this.#mounted = mounted;
    this.#parts = draw(element, data);
    this.#parts.start.addEventListener("click", () => this.#press());
    for (const offer of this.#parts.offers.children) {
      offer.addEventListener("click", () =>
        this.#start(/** @type {HTMLButtonElement} */ (offer).name),
      );
    }
    this.#parts.copy.addEventListener("click", () => this.#copy());
    onLanguage(element, () => this.#show());
    watch("value", () => this.#answer());
    if (data.memory) {
      new Memory(mounted, this.#parts.memory);
      new Course(mounted, this.#parts.course);
    }
    subscribe(data.form, element, (news) => this.#hear(news));
    hearNews("runs", (stamp) => this.#lookAgain(stamp));
    this.#answer();
  }

  /** @param {News} news */
  #hear(news) {
    if (news.kind === "asked") this.#isAsked = true;
    if (news.kind === "asked" && news.isEdited) this.#edit();
    if (news.kind !== "judged") return;
    this.#isAsked = false;
    this.#judgement = news.judgement;
    this.#show();
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#decide();
  }

  /** The form has changed: a press that waits was not meant for this, nor was the last answer. */
  #edit() {
    const { props } = this.#mounted;
    this.#isWaiting = false;
    if (props.value?.state !== "refused") return;
    props.value = IDLE;
    this.#show();
  }

  /**
   * The runs are other ones: a refusal goes once the run that was in the way has ended.
   * @param {string} stamp
   */
  async #lookAgain(stamp) {
    const { props, server } = this.#mounted;
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    if (!props.value?.offers) return;
    const answer = await server.is_free({});
    if (!answer?.free || !props.value?.offers) return;
    props.value = IDLE;
    this.#show();
  }

  /** Start what is judged; where a judgement is on its way, when it is here. */
  #press() {
    this.#isPressed = true;
    this.#isWaiting = this.#isAsked;
    publish(this.#mounted.data.form, { kind: "pressed" });
    if (this.#isAsked) this.#show();
    else this.#decide();
  }

  #decide() {
    const { data } = this.#mounted;
    if (this.#judgement?.ok && !this.#judgement.startable) {
      const name = this.#judgement.missing_field;
      this.#show();
      publish(data.form, { kind: "missing", name });
      goTo(data.prefix, name);
      return;
    }
    this.#isPressed = false;
    this.#start("");
  }

  /** @param {string} how  "" at once, or an offer's name */
  #start(how) {
    const { props, trigger } = this.#mounted;
    props.value = { ...IDLE, state: "heard", how };
    this.#answer();
    trigger("start");
  }

  /** Python has answered, or is asked. */
  #answer() {
    const { props, data } = this.#mounted;
    clearTimeout(this.#timer);
    if (props.value?.state === "heard") {
      this.#timer = setTimeout(() => {
        props.value = { ...IDLE, state: "refused" };
        this.#show();
      }, LOST_MS);
    }
    if (props.value?.state === "started") {
      publish(data.form, { kind: "started" });
      goToPanel(data.panel);
    }
    this.#show();
  }

  #show() {
    const { value } = this.#mounted.props;
    const words = this.#words;
    const { start, missing, answer, offers, problems, command, copy } = this.#parts;
    const judgement = this.#judgement?.ok ? this.#judgement : undefined;
    const isHeard = value?.state === "heard";
    start.disabled = isHeard;
    start.classList.toggle("launch-ready", judgement?.startable === true && !isHeard);
    setText(start, isHeard ? words.heard : words.start);
    setText(missing, judgement ? judgement.missing : (this.#failure ?? ""));
    setText(answer, value?.texts[language()] ?? (value?.state === "refused" ? words.lost : ""));
    answer.classList.toggle("launch-refused", value?.state === "refused");
    offers.hidden = !value?.offers;
    for (const offer of offers.querySelectorAll("button")) {
      setText(offer, offer.name === "queue" ? words.queue : words.instead);
    }
    const lines = this.#isPressed ? (judgement?.problems ?? []) : [];
    problems.list.replaceChildren(...lines.map((line) => make("li", {}, line)));
    problems.root.hidden = !lines.length;
    setText(problems.title, words.problems);
    setText(command.title, words.command);
    if (judgement) setCommand(command.code, judgement.command);
    command.root.hidden = !command.code.textContent;
    setText(copy, this.#isCopied ? words.copied : words.copy);
    copy.classList.toggle("launch-copied", this.#isCopied);
  }

  get #words() {
    return this.#mounted.data.words[language()];
  }

  /** Why the values could not be judged. */
  get #failure() {
    return this.#judgement?.ok === false ? this.#judgement.errors?.[language()] : undefined;
  }

  async #copy() {
    await copyText(this.#parts.command.code);
    this.#isCopied = true;
    this.#show();
    setTimeout(() => {
      this.#isCopied = false;
      this.#show();
    }, COPIED_MS);
  }
}

/**
 * @param {HTMLElement} element
 * @param {Data} data
 */
function draw(element, { prefix, panel }) {
  const missingId = `${prefix}missing`;
  const start = make("button", { id: `${prefix}start`, type: "button", class: "launch-start" });
  start.setAttribute("aria-describedby", missingId);
  const missing = make("p", { id: missingId, class: "launch-missing", role: "status" });
  const answer = make("p", { id: `${prefix}answer`, class: "launch-answer", role: "status" });
  const offers = make("div", { class: "launch-offers", hidden: true });
  for (const name of ["queue", "instead"]) {
    offers.append(
      make("button", { id: `${prefix}${name}`, type: "button", name, class: "launch-offer" }),
    );
  }
  const problems = {
    title: make("h4"),
    list: make("ul"),
    root: make("section", { id: `${prefix}problems`, class: "launch-problems", hidden: true }),
  };
  problems.root.append(problems.title, problems.list);
  const copy = make("button", { type: "button", class: "launch-copy" });
  const command = {
    title: make("h4"),
    code: make("code"),
    root: make("section", { id: `${prefix}command`, class: "launch-command", hidden: true }),
  };
  const head = make("div", { class: "launch-head" }, command.title, copy);
  command.root.append(head, make("pre", { tabindex: "0" }, command.code));
  const first = make("div", { class: "launch-first" }, start, missing);
  const box = /** @type {HTMLElement} */ (element.querySelector(".launch"));
  const bar = make("div", { class: "launch-bar" }, barOf(panel).root, first, answer, offers);
  const memory = make("section", { id: `${prefix}memory`, class: "memory", hidden: true });
  const course = make("section", { id: `${prefix}course`, class: "course", hidden: true });
  box.append(bar, course, memory, problems.root, command.root);
  new ResizeObserver(() => leaveRoom(bar)).observe(bar);
  return { start, missing, answer, offers, course, memory, problems, command, copy };
}

/** @type {Map<HTMLElement, number>} */
const heights = new Map();

/**
 * The page ends below the bar that a phone shows over it: of several only that of the open tab has a
 * height.
 * @param {HTMLElement} bar
 */
function leaveRoom(bar) {
  heights.set(bar, bar.offsetHeight);
  const height = Math.max(...heights.values());
  document.documentElement.style.setProperty("--start-height", `${height}px`);
}

/**
 * Set a command whose lines break between its words, not after the dashes of an option.
 * @param {HTMLElement} code
 * @param {string} command
 */
function setCommand(code, command) {
  if (code.textContent === command) return;
  const parts = command.split(/(\s+)/).map((part) => (part.trim() ? make("span", {}, part) : part));
  code.replaceChildren(...parts);
}

/**
 * Scroll to the panel of the run where it lies below what is seen, as on a phone.
 * @param {string} id
 */
function goToPanel(id) {
  const panel = document.getElementById(id);
  if (panel && panel.getBoundingClientRect().top > innerHeight) panel.scrollIntoView();
}

/**
 * Scroll to a field and put the focus into it.
 * @param {string} prefix
 * @param {string} name
 */
function goTo(prefix, name) {
  const field = document.getElementById(prefix + name) ?? document.getElementById(name);
  if (!field || !name) return;
  const control = field.querySelector("input, textarea, select");
  field.scrollIntoView({ block: "center" });
  if (control instanceof HTMLElement) control.focus({ preventScroll: true });
}

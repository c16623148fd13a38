// @ts-check
/** The memory that a training needs, beside Start: a bar of its parts against what is free. */

import { subscribe, valuesOf } from "./channel.js";
import { make, setText } from "./dom.js";
import { FormChange } from "./form_change.js";
import { language, onLanguage } from "./language.js";
import { subscribe as hearNews } from "./news.js";
import { askInTurn, debounce } from "./requests.js";

/** @typedef {import("./types").Failure} Failure */
/** @typedef {import("./types").LaunchData} Data */
/** @typedef {import("./types").LaunchServer} Server */
/** @typedef {import("./types").LaunchState} State */
/** @typedef {import("./types").MemoryFit} Fit */
/** @typedef {import("./types").MemoryPart} Part */
/** @typedef {import("./types").MemoryPlace} Place */
/** @typedef {import("./types").MemoryView} View */
/** @typedef {import("./types").Mounted<State, Data, Server>} Mounted */

const ASK_MS = 250; // after the last judgement, so that the answers to letters come first

export class Memory {
  #mounted;
  #root;
  #parts = draw();
  #askSoon;
  #askFit;
  #stamp = ""; // of the runs
  #question = ""; // what is shown answers it
  /** @type {Fit | undefined} */
  #fit;
  #change;

  /**
   * @param {Mounted} mounted  the box with Start
   * @param {HTMLElement} root
   */
  constructor(mounted, root) {
    const { element, data, server } = mounted;
    this.#mounted = mounted;
    this.#root = root;
    this.#change = new FormChange(data.form, () => this.#values);
    root.append(...Object.values(this.#parts));
    const ask = askInTurn(
      () => server.memory(this.#ask()),
      (answer) => this.#show(answer),
    );
    this.#askSoon = debounce(ASK_MS, ask);
    this.#askFit = askInTurn(
      () => server.fit(this.#ask()),
      (answer) => this.#offer(answer),
    );
    for (const form of [data.form, data.bar]) {
      subscribe(form, element, (news) => {
        if (news.kind === "judged" && form === data.form) this.#askSoon();
        if (news.kind === "started") this.#change.forget();
        else if (news.kind !== "values" || !this.#change.hasLapsed()) return;
        this.#showFit();
      });
    }
    this.#parts.button.addEventListener("click", () => this.#press());
    hearNews("runs", (stamp) => this.#lookAgain(stamp));
    onLanguage(element, () => this.#say());
    this.#say();
  }

  /**
   * A run has begun or ended: more or less is free.
   * @param {string} stamp
   */
  #lookAgain(stamp) {
    const isOther = stamp !== this.#stamp;
    this.#stamp = stamp;
    if (isOther && !this.#root.hidden && this.#root.checkVisibility()) this.#askSoon();
  }

  get #values() {
    const { form, bar } = this.#mounted.data;
    return { ...valuesOf(bar), ...valuesOf(form) };
  }

  #ask() {
    const question = { values: this.#values, lang: language() };
    this.#question = JSON.stringify(question);
    return question;
  }

  get #words() {
    return this.#mounted.data.words[language()];
  }

  #say() {
    const { title, legend } = this.#parts;
    setText(title, this.#words.title ?? "");
    setText(/** @type {Element} */ (legend.firstElementChild), this.#words.parts ?? "");
    this.#showFit();
  }

  /** @param {View | Failure | undefined} answer */
  #show(answer) {
    const view = answer?.ok ? answer : undefined;
    this.#fit = undefined;
    this.#showFit();
    this.#root.hidden = !view || view.state === "none";
    if (!view || view.state === "none") return;
    if (view.state === "exceeds") this.#askFit();
    const { places, legend } = this.#parts;
    this.#root.dataset.state = view.state;
    legend.hidden = view.state === "unknown";
    if (view.state === "unknown") {
      places.replaceChildren(make("p", { class: "memory-line" }, view.line));
      return;
    }
    const drawn = view.places.map((place) => drawPlace(place, view.parts, view.total));
    places.replaceChildren(...drawn);
    legend.lastElementChild?.replaceChildren(
      make("ul", {}, ...view.parts.map(drawEntry)),
      ...view.notes.map((note) => make("p", {}, note)),
    );
  }

  /** @param {Fit | Failure | undefined} answer */
  #offer(answer) {
    const isOld = this.#question !== JSON.stringify({ values: this.#values, lang: language() });
    if (isOld || !answer?.ok || this.#root.dataset.state !== "exceeds") return;
    this.#fit = answer;
    this.#showFit();
  }

  /** What makes it fit, with a button; or that this was done, with the way back. */
  #showFit() {
    const { fix, button } = this.#parts;
    const fit = this.#fit;
    const lines = fit?.lines.map(({ change, cost }) =>
      make("li", {}, make("b", {}, change), cost && make("span", { class: "memory-cost" }, cost)),
    );
    const text = fit ? fit.needed : this.#change.isMade ? (this.#words.fixed ?? "") : "";
    fix.replaceChildren(make("p", {}, text), make("ul", {}, ...(lines ?? [])));
    fix.hidden = !text;
    button.hidden = !(fit?.lines.length || (!fit && this.#change.isMade));
    setText(button, (fit ? this.#words.fix : this.#words.undo) ?? "");
  }

  /** Change the settings so that it fits, or change them back. */
  #press() {
    const fit = this.#fit;
    this.#fit = undefined;
    if (fit) this.#change.make(fit.put ?? {});
    else this.#change.undo();
    this.#showFit();
  }
}

function draw() {
  return {
    title: make("h4"),
    places: make("div", { class: "memory-places", role: "status" }),
    fix: make("div", { class: "memory-fix", role: "status", hidden: true }),
    button: make("button", { type: "button", class: "launch-offer", hidden: true }),
    legend: make("details", { class: "memory-legend" }, make("summary"), make("div")),
  };
}

/**
 * A place that computes: what is needed of it in words, and as a bar as long as what is free, or
 * where that is too little, as what is needed.
 * @param {Place} place
 * @param {Part[]} parts
 * @param {number} total  bytes of all parts
 */
function drawPlace(place, parts, total) {
  const whole = Math.max(total, place.free, 1);
  const bar = make("div", { class: "memory-bar", role: "img", "aria-label": place.label });
  for (const part of parts) {
    const piece = make("span", {
      class: `memory-${part.kind}`,
      title: `${part.name} ${part.text}`,
    });
    piece.style.inlineSize = `${(100 * part.size) / whole}%`;
    bar.append(piece);
  }
  if (total > place.free) {
    const end = make("i");
    end.style.insetInlineStart = `${(100 * place.free) / whole}%`;
    bar.append(end);
  }
  return make("div", {}, make("p", { class: "memory-line" }, place.line), bar);
}

/** @param {Part} part */
function drawEntry(part) {
  return make(
    "li",
    {},
    make("i", { class: `memory-${part.kind}` }),
    make("span", {}, part.name),
    make("span", { class: "memory-size" }, part.text),
  );
}

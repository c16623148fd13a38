// @ts-check
/** What is it for? A choice that fills the form: its values with their reasons, and the way back. */

import { followedOf, publish, subscribe, valuesOf } from "./channel.js";
import { loadStyle, make, setText } from "./dom.js";
import { FormChange } from "./form_change.js";
import { language, onLanguage } from "./language.js";
import { askLatest } from "./requests.js";
import { recall, store } from "./storage.js";

/** @typedef {import("./types").AdviceLine} Line */
/** @typedef {import("./types").AdviceView} View */
/** @typedef {import("./types").Failure} Failure */
/** @typedef {import("./types").PurposeData} Data */
/** @typedef {import("./types").PurposeServer} Server */
/** @typedef {import("./types").Values} Values */
/** @typedef {import("./types").Mounted<null, Data, Server>} Mounted */

const KEY = "tuneboard-purpose";

/**
 * Draw the choice into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount(mounted) {
  await loadStyle("form.css");
  new Purpose(mounted);
}

class Purpose {
  #mounted;
  #parts;
  #change;
  #purpose = "";
  /** @type {Values} what was put into the form, which is nobody's own */
  #put = {};
  #stamp = ""; // of what is shown
  #look;

  /** @param {Mounted} mounted */
  constructor(mounted) {
    const { element, data, server } = mounted;
    this.#mounted = mounted;
    this.#parts = draw(element, data.purposes);
    this.#change = new FormChange(data.form, () => this.#values);
    this.#look = askLatest(
      () => server.advise({ ...this.#question(), purpose: this.#purpose }),
      (answer) => this.#show(answer),
    );
    this.#restore();
    this.#parts.select.addEventListener("change", () => this.#choose(this.#parts.select.value));
    this.#parts.back.addEventListener("click", () => this.#choose(""));
    subscribe(data.form, element, (news) => {
      if (news.kind === "values") this.#change.hasLapsed();
      if (news.kind === "judged" && this.#purpose) this.#look();
    });
    onLanguage(element, () => this.#say());
    this.#say();
  }

  get #values() {
    const { form, bar } = this.#mounted.data;
    return { ...valuesOf(bar), ...valuesOf(form) };
  }

  #question() {
    const followed = followedOf(this.#mounted.data.form);
    return { values: this.#values, put: this.#put, followed, lang: language() };
  }

  /** What was chosen when the page was left: the form holds its values, too. */
  #restore() {
    try {
      const kept = JSON.parse(recall(KEY) || "{}");
      if (!this.#mounted.data.purposes.includes(kept.purpose)) return;
      this.#purpose = kept.purpose;
      this.#put = kept.put ?? {};
    } catch {
      // It was not kept by this version.
    }
  }

  /**
   * Put the values of a purpose into the form; of none, those before it.
   * @param {string} purpose
   */
  async #choose(purpose) {
    this.#purpose = purpose;
    await this.#clear();
    if (purpose !== this.#purpose) return;
    const answer = await this.#mounted.server.advise({ ...this.#question(), purpose });
    if (purpose !== this.#purpose) return;
    if (answer?.ok) this.#fill(answer.put);
    else this.#purpose = "";
    this.#show(answer);
    this.#say();
  }

  /**
   * Take what a purpose has put into the form out of it: by the way back, then by the defaults for
   * what stands there from before and nobody has changed since.
   */
  async #clear() {
    if (this.#change.isMade) this.#change.undo();
    if (!Object.keys(this.#put).length) return;
    const answer = await this.#mounted.server.advise({ ...this.#question(), purpose: "" });
    if (!answer?.ok) return;
    const { form } = this.#mounted.data;
    publish(form, { kind: "change", values: answer.put, free: Object.keys(answer.put) });
    this.#put = {};
    this.#keep();
  }

  /** @param {Values} values */
  #fill(values) {
    if (Object.keys(values).length) this.#change.make(values);
    this.#put = { ...this.#put, ...values };
    this.#keep();
  }

  /**
   * Take an advised value in place of one's own: one step back brings back both.
   * @param {Line} line
   */
  #take(line) {
    const put = this.#change.isMade ? this.#put : {};
    if (this.#change.isMade) this.#change.undo();
    this.#fill({ ...put, [line.name]: line.value });
    this.#look();
  }

  #keep() {
    store(KEY, JSON.stringify({ purpose: this.#purpose, put: this.#put }));
  }

  /** @param {View | Failure | undefined} answer */
  #show(answer) {
    const lines = answer?.ok ? answer.lines : [];
    const stamp = JSON.stringify([lines, language()]);
    if (stamp === this.#stamp) return; // the focus stays where it is
    this.#stamp = stamp;
    const words = this.#mounted.data.words[language()];
    const rows = lines.map((line) => {
      const row = make(
        "div",
        { "data-name": line.name, class: "purpose-line" },
        make("dt", {}, line.title),
        make("dd", { class: "purpose-shown" }, line.shown),
        make("dd", { class: "purpose-reason" }, line.reason),
      );
      if (!line.own) return row;
      const take = make("button", { type: "button", class: "form-quiet-button" }, words.take);
      take.addEventListener("click", () => this.#take(line));
      row.lastElementChild?.append(" ", take);
      return row;
    });
    this.#parts.list.replaceChildren(...rows);
    this.#parts.box.hidden = !rows.length;
  }

  #say() {
    const { select, label, back } = this.#parts;
    const words = this.#mounted.data.words[language()];
    setText(label, words.label);
    setText(back, words.undo);
    for (const option of select.options) {
      setText(option, option.value ? words[`name_${option.value}`] : words.none);
    }
    select.value = this.#purpose;
    if (this.#purpose) this.#look();
  }
}

/**
 * @param {HTMLElement} element
 * @param {string[]} purposes
 */
function draw(element, purposes) {
  const root = /** @type {HTMLElement} */ (element.querySelector(".purpose"));
  const id = "purpose-choice";
  const select = make("select", { id, class: "form-box" });
  for (const value of ["", ...purposes]) select.append(make("option", { value }));
  const label = make("label", { for: id, class: "purpose-head" });
  const list = make("dl");
  const back = make("button", { type: "button", class: "form-quiet-button purpose-back" });
  const box = make("div", { class: "purpose-values", role: "status", hidden: true }, list, back);
  const choice = make("div", { class: "purpose-choice" }, select);
  root.append(label, choice, box);
  return { select, label, list, back, box };
}

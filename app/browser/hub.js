// @ts-check
/** The box that fetches from a hub: a search, downloads with their progress, what lies on the disk. */

import { publish, subscribe, valuesOf } from "./channel.js";
import { follow } from "./clock.js";
import { loadStyle, setText } from "./dom.js";
import { draw, drawDownload, drawLook, drawResult, fill, TransferRow } from "./hub_parts.js";
import { language, onLanguage } from "./language.js";
import { askInTurn, askLatest } from "./requests.js";

/** @typedef {import("./types").Failure} Failure */
/** @typedef {import("./types").HubData} Data */
/** @typedef {import("./types").HubDownload} Download */
/** @typedef {import("./types").HubResult} Result */
/** @typedef {import("./types").HubServer} Server */
/** @typedef {import("./types").HubTransfer} Transfer */
/** @typedef {import("./types").Mounted<string, Data, Server>} Mounted */
/** @typedef {import("./hub_parts.js").Action} Action */

/**
 * Draw the box into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount(mounted) {
  await Promise.all([loadStyle("list.css"), loadStyle("hub.css")]);
  new Hub(mounted);
}

class Hub {
  #mounted;
  #parts;
  /** @type {Result[]} */
  #results = [];
  /** @type {Transfer[]} */
  #transfers = [];
  /** @type {TransferRow[]} */
  #rows = [];
  /** @type {Download[]} */
  #downloads = [];
  #hub = ""; // where the results are from
  /** @type {Record<string, string>} what was said last, by language */
  #said = {};
  /** @type {(() => void) | undefined} */
  #unfollow;
  #askProgress;
  #askDisk;
  #askSearch;

  /** @param {Mounted} mounted */
  constructor(mounted) {
    const { element, data, server } = mounted;
    this.#mounted = mounted;
    this.#parts = draw(element, data);
    const lang = () => ({ lang: language() });
    this.#askProgress = askInTurn(
      () => server.progress(lang()),
      (answer) => this.#takeProgress(answer),
    );
    this.#askDisk = askLatest(
      () => server.disk(lang()),
      (answer) => this.#takeDisk(answer),
    );
    this.#askSearch = askLatest(
      () => server.search({ ...this.#question(), words: this.#parts.words.value }),
      (answer) => this.#takeResults(answer),
    );
    this.#listen();
    this.#say();
  }

  #listen() {
    const { element, data } = this.#mounted;
    const { root, form, hub, token } = this.#parts;
    root.addEventListener("toggle", () => {
      if (root.open) this.#refresh();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#search();
    });
    hub.addEventListener("change", () => this.#showToken());
    token.addEventListener("change", () => {
      const name = data.tokens[hub.value];
      publish(data.form, { kind: "change", values: { [name]: token.value } });
    });
    subscribe(data.form, element, (news) => {
      if (news.kind === "values") this.#showToken();
    });
    onLanguage(element, () => {
      this.#say();
      if (root.open) this.#refresh();
      if (this.#results.length) this.#askSearch();
    });
  }

  get #words() {
    return this.#mounted.data.words[language()];
  }

  #question() {
    const { hub, token } = this.#parts;
    return { lang: language(), hub: hub.value, token: token.value };
  }

  /** The token is that of the form: it is typed here or there, and kept nowhere. */
  #showToken() {
    const { hub, token } = this.#parts;
    const { form, tokens } = this.#mounted.data;
    const held = String(valuesOf(form)[tokens[hub.value]] ?? "");
    if (document.activeElement !== token && token.value !== held) token.value = held;
  }

  #refresh() {
    this.#askProgress();
    this.#askDisk();
  }

  #search() {
    if (!this.#parts.words.value.trim()) return;
    this.#hub = this.#parts.hub.value;
    this.#tell({}, false, this.#words.searching);
    this.#askSearch();
  }

  /** @param {import("./types").HubRows<Result> | Failure | undefined} answer */
  #takeResults(answer) {
    this.#results = answer?.ok ? answer.rows : [];
    if (!answer?.ok) this.#tell(answer?.errors, true, this.#words.unread);
    else this.#tell({}, false, answer.rows.length ? "" : this.#words.none);
    this.#show();
  }

  /** @param {import("./types").HubRows<Transfer> | Failure | undefined} answer */
  #takeProgress(answer) {
    if (!answer?.ok) {
      if (answer?.errors) this.#tell(answer.errors, true);
      return;
    }
    const wasBusy = this.#isBusy;
    this.#transfers = answer.rows;
    if (this.#isBusy) this.#unfollow ??= follow(() => this.#askProgress());
    else {
      this.#unfollow?.();
      this.#unfollow = undefined;
    }
    if (wasBusy && !this.#isBusy) this.#askDisk();
    this.#show();
  }

  /** @param {(import("./types").HubRows<Download> & { line: string }) | Failure | undefined} answer */
  #takeDisk(answer) {
    if (!answer?.ok) {
      this.#tell(answer?.errors, true, this.#words.unread);
      return;
    }
    this.#downloads = answer.rows;
    setText(this.#parts.place, answer.line);
    this.#show();
  }

  get #isBusy() {
    return this.#transfers.some(({ step }) => step === "busy");
  }

  /** Texts in another language. */
  #say() {
    const words = this.#words;
    const { title, labels, search, token, disk, hub, said } = this.#parts;
    setText(title, words.title);
    for (const [name, label] of Object.entries(labels)) setText(label, words[name]);
    for (const option of hub.options) setText(option, words[`on_${option.value}`]);
    setText(search, words.search);
    setText(disk, words.disk);
    token.placeholder = words.token_hint;
    setText(said, this.#said[language()] ?? "");
    this.#showToken();
    this.#show();
  }

  /**
   * @param {Record<string, string> | undefined} texts  by language
   * @param {boolean} isWrong
   * @param {string} [text]  what is said where there are none
   */
  #tell(texts, isWrong, text = "") {
    const { said } = this.#parts;
    this.#said = texts ?? {};
    setText(said, this.#said[language()] ?? text);
    said.classList.toggle("list-wrong", isWrong);
  }

  #show() {
    const { results, downloads, here, place } = this.#parts;
    const busy = this.#transfers.filter(({ step }) => step === "busy").map(({ name }) => name);
    this.#showTransfers();
    fill(results, [this.#results, this.#downloads, busy, language()], () =>
      this.#results.map((each) => drawResult(each, this.#offer(each))),
    );
    const rows = this.#downloads.filter(({ name }) => !busy.includes(name));
    fill(downloads, [rows, language()], () => rows.map((each) => this.#drawHere(each)));
    here.hidden = !place.textContent;
  }

  /** A download keeps its row, and with it the focus, until its state is another. */
  #showTransfers() {
    const states = this.#transfers.map(({ name, hub, step }) => [name, hub, step]);
    fill(this.#parts.transfers, [states, language()], () => {
      this.#rows = this.#transfers.map((each) => new TransferRow(each, this.#actOn(each)));
      return this.#rows.map(({ root }) => root);
    });
    for (const [at, each] of this.#transfers.entries()) this.#rows[at].update(each);
  }

  /** @param {Download} download */
  #drawHere(download) {
    const remove = () => this.#remove(download.name);
    return drawDownload(download, this.#words, this.#offerHere(download), remove);
  }

  /** The download of this name that goes on. @param {string} name */
  #find(name) {
    return this.#transfers.find((each) => each.name === name && each.step === "busy");
  }

  /** @param {Transfer} transfer @returns {Action[]} */
  #actOn({ name, hub, step, result }) {
    const words = this.#words;
    const { server } = this.#mounted;
    const question = { ...this.#question(), name, hub };
    if (step === "busy") {
      const cancel = async () => this.#takeProgress(await server.cancel(question));
      return [{ text: words.cancel, name: "cancel", act: cancel }];
    }
    if (step === "done") return [this.#use(this.#isOfSets ? result : name, hub)];
    return [{ text: words.resume, name: "resume", act: () => this.#get(name, hub) }];
  }

  /** @param {Result} result @returns {Action[]} */
  #offer({ name, is_usable }) {
    if (this.#find(name)) return [];
    const { get, look } = this.#words;
    const actions = [{ text: get, name: "get", act: () => this.#get(name, this.#hub) }];
    if (this.#isOfSets) {
      if (!this.#mounted.data.looks.includes(this.#hub)) return actions;
      return [{ text: look, name: "look", act: () => this.#look(name) }, ...actions];
    }
    const isHere = this.#downloads.some((each) => each.name === name && each.is_whole);
    if (isHere) return [this.#use(name, this.#hub)];
    return is_usable ? actions : [];
  }

  get #isOfSets() {
    return this.#mounted.data.kind === "dataset";
  }

  /** Show the first rows of a data set below its result. @param {string} name */
  async #look(name) {
    const row = [...this.#parts.results.children].find(
      (each) => /** @type {HTMLElement} */ (each).dataset.name === name,
    );
    const known = row?.querySelector(".hub-look");
    if (known) {
      known.remove();
      return;
    }
    this.#tell({}, false, this.#words.searching);
    const answer = await this.#mounted.server.look({ ...this.#question(), hub: this.#hub, name });
    if (answer?.ok) {
      this.#tell({}, false);
      row?.append(drawLook(answer));
    } else this.#tell(answer?.errors, true, this.#words.unread);
  }

  /** @param {Download} download @returns {Action[]} */
  #offerHere({ name, hub, is_whole }) {
    if (is_whole) return this.#isOfSets ? [] : [this.#use(name, hub)];
    return [{ text: this.#words.resume, name: "resume", act: () => this.#get(name, hub) }];
  }

  /** @param {string} name @param {string} hub @returns {Action} */
  #use(name, hub) {
    const { data, props, trigger } = this.#mounted;
    const act = () => {
      if (this.#isOfSets) {
        props.value = name;
        trigger("use");
        return;
      }
      const values = { model_name_or_path: name, hub_name: hub };
      publish(data.form, { kind: "change", values });
    };
    return { text: this.#words.use, name: "use", act };
  }

  /** @param {string} name @param {string} hub */
  async #get(name, hub) {
    this.#tell({}, false);
    const token = hub === this.#parts.hub.value ? this.#parts.token.value : "";
    this.#takeProgress(await this.#mounted.server.get({ lang: language(), name, hub, token }));
  }

  /** @param {string} name */
  async #remove(name) {
    const answer = await this.#mounted.server.remove({ lang: language(), name });
    this.#tell(answer?.ok ? answer.words : answer?.errors, !answer?.ok, this.#words.unread);
    this.#refresh();
  }
}

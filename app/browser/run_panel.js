// @ts-check
/** The panel of one run: drawn from what the server tells of it, followed while it goes on. */

import { valuesOf } from "./channel.js";
import { follow } from "./clock.js";
import { loadStyle, make, setText } from "./dom.js";
import { language, onLanguage } from "./language.js";
import { askNews, subscribe } from "./news.js";
import { openedRun, writeRun } from "./run_address.js";
import { barOf } from "./run_bar.js";
import { Charts } from "./run_charts.js";
import { RunFeed } from "./run_feed.js";
import { Head } from "./run_head.js";
import { Lines } from "./run_lines.js";
import { Log } from "./run_log.js";
import { StageMetrics } from "./run_metrics.js";
import { Notice } from "./run_notice.js";
import { Side } from "./run_side.js";
import { onTab } from "./tabs.js";

/** @typedef {import("./run_types").RunAnswer} Answer */
/** @typedef {import("./run_types").Curves} Curves */
/** @typedef {import("./run_types").RunData} Data */
/** @typedef {import("./run_types").RunRefusal} Refusal */
/** @typedef {import("./run_types").RunServer} Server */
/** @typedef {import("./types").Mounted<string, Data, Server>} Mounted */

const DRAW_MS = 2000; // curves are drawn anew no more often than this
const ACTS = ["stop", "resume", "restart"]; // what the server is asked to do with the run

/**
 * Draw a panel into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount(mounted) {
  await loadStyle("run.css");
  new Panel(mounted);
}

class Panel {
  #mounted;
  #parts;
  #feed = new RunFeed((answer, isThere) => this.#take(answer, isThere));
  #lines = new Lines();
  /** @type {Curves | null} */
  #curves = null;
  #bar;
  /** @type {Set<Element>} The panel and its line in the bar with Start, as far as they are seen. */
  #seen = new Set();
  #hasEnded = true; // and nothing more is to come
  /** @type {(() => void) | undefined} */
  #unfollow;
  #drawnAt = 0;
  #timer = 0;
  #stamp = "";
  /** @type {Refusal | undefined} Why the last press came to nothing. */
  #refusal;

  /** @param {Mounted} mounted */
  constructor(mounted) {
    const { element, props, data, watch } = mounted;
    this.#mounted = mounted;
    props.value ||= openedRun(element, data.saves);
    const choose = () => this.#choose();
    this.#parts = {
      none: make("p", { id: `${data.prefix}-none`, class: "run-none" }),
      lost: make("p", { class: "run-box run-lost", role: "status", hidden: true }),
      head: new Head(data.prefix, (name, how) => this.#press(name, how)),
      notice: new Notice(data.prefix, () => this.#feed.look()),
      charts: new Charts(data.prefix, choose),
      metrics: new StageMetrics(data.prefix, choose),
      log: new Log(data.prefix, (search) => this.#ask({ search })),
      side: new Side(data.prefix),
    };
    this.#draw(element);
    this.#bar = barOf(data.prefix);
    this.#bar.act = () => this.#press("stop", "");
    watch("value", () => this.#open());
    onLanguage(element, () => this.#speak());
    onTab(() => writeRun(element, data.saves, this.#run));
    subscribe("runs", (stamp) => this.#hear(stamp));
    const eye = new IntersectionObserver((entries) => this.#see(entries));
    for (const part of [element, this.#bar.root]) eye.observe(part);
    this.#speak();
    this.#open();
  }

  /** @param {HTMLElement} element */
  #draw(element) {
    const { none, lost, head, notice, charts, metrics, log, side } = this.#parts;
    const [top, rest] = [".run-top", ".run-rest"].map(
      (name) => /** @type {HTMLElement} */ (element.querySelector(name)),
    );
    top.append(none, lost, head.root, notice.root);
    rest.append(charts.root, metrics.root, side.machine, log.root, side.points, side.files);
    rest.id = `${this.#mounted.data.prefix}-body`;
  }

  /** Another run is to be shown, or none. */
  #open() {
    this.#show(false);
    this.#bar.show(undefined);
    this.#parts.notice.take(undefined);
    this.#refuse(undefined);
    this.#parts.log.clear();
    this.#lines.clear();
    this.#curves = null;
    this.#hasEnded = false;
    writeRun(this.#mounted.element, this.#mounted.data.saves, this.#run);
    this.#ask({ run: this.#run, lang: language(), series: this.#series });
  }

  #speak() {
    const { none, lost, ...drawn } = this.#parts;
    setText(none, this.#words.none);
    setText(lost, this.#words.lost);
    for (const part of Object.values(drawn)) part.setWords(this.#words);
    this.#refuse(this.#refusal);
    this.#feed.show({ lang: language() });
    if (this.#mounted.element.checkVisibility()) this.#feed.look(); // above or below what is seen, too
    this.#plot();
  }

  get #run() {
    return this.#mounted.props.value ?? "";
  }

  get #words() {
    return this.#mounted.data.words[language()];
  }

  get #series() {
    return this.#curves ? [...this.#parts.charts.series, ...this.#parts.metrics.series] : [];
  }

  /** @param {Partial<import("./run_types").View>} view */
  #ask(view) {
    this.#feed.show(view);
    this.#look();
  }

  /** What cannot be seen asks for nothing: it looks once it is seen. */
  #look() {
    if (this.#seen.size) this.#feed.look();
    this.#follow();
  }

  /** Something has happened to a run: what was answered to a press may no longer be so. @param {string} stamp */
  #hear(stamp) {
    const isFirst = !this.#stamp;
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    this.#findLatest();
    if (isFirst) return; // nothing has happened: it was not known yet
    this.#refuse(undefined);
    this.#look();
  }

  /**
   * A page that is opened again, on any machine, shows the run that goes on; an open one shows what
   * was started in a terminal. A run that is shown, or has come to be meanwhile, is left alone.
   */
  async #findLatest() {
    if (this.#run || !this.#mounted.data.opens_latest) return;
    const answer = await this.#mounted.server.latest({});
    if (answer?.run && !this.#run) this.#turnTo(answer.run);
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #see(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.#seen.add(target);
      else this.#seen.delete(target);
    }
    this.#look();
  }

  #follow() {
    const isWanted = this.#seen.size > 0 && !this.#hasEnded && Boolean(this.#run);
    if (isWanted) this.#unfollow ??= follow(() => this.#feed.look());
    if (isWanted || !this.#unfollow) return;
    this.#unfollow();
    this.#unfollow = undefined;
  }

  /**
   * @param {Answer | undefined} answer
   * @param {boolean} isThere
   */
  #take(answer, isThere) {
    this.#parts.lost.hidden = answer !== undefined || !isThere;
    if (answer) this.#update(answer);
    else if (!isThere) {
      this.#show(false);
      this.#bar.show(undefined);
    }
    this.#follow();
  }

  /** @param {Answer} answer */
  #update({ head, machine, points, curves, metrics, log }) {
    const { side } = this.#parts;
    if (head) {
      this.#hasEnded = head.ended && !head.is_due;
      this.#parts.head.show(head);
      this.#bar.show(head);
      this.#parts.notice.take(head);
      this.#parts.log.setDownload(head.download);
      side.setFiles(head.files);
      this.#show(true, head.resumable, !head.ended);
    }
    if (machine !== undefined) side.setMachine(machine);
    if (points) side.setPoints(points);
    if (curves !== undefined) this.#setCurves(curves);
    if (metrics) {
      this.#lines.take(metrics);
      if (this.#lines.isOld) this.#feed.forgetLines();
      this.#plotSoon(metrics.anew);
    }
    if (log) this.#parts.log.take(log);
  }

  /** @param {Curves | null} curves */
  #setCurves(curves) {
    const before = this.#series.join();
    this.#curves = curves;
    this.#parts.charts.root.hidden = !curves;
    this.#parts.metrics.setMetrics(curves?.metrics ?? []);
    if (this.#series.join() !== before) this.#ask({ series: this.#series });
    this.#plotSoon(true); // of a run without a row, what the one before has left would stand there
  }

  /** Other curves are to be shown, or on another scale. */
  #choose() {
    this.#ask({ series: this.#series });
  }

  /** @param {boolean} isAtOnce */
  #plotSoon(isAtOnce) {
    clearTimeout(this.#timer);
    const wait = isAtOnce || this.#hasEnded ? 0 : this.#drawnAt + DRAW_MS - Date.now();
    this.#timer = setTimeout(() => this.#plot(), Math.max(0, wait));
  }

  #plot() {
    if (!this.#curves) return;
    this.#drawnAt = Date.now();
    this.#parts.charts.draw(this.#lines, this.#words, this.#run, this.#curves.empty);
    this.#parts.metrics.draw(this.#lines, this.#words, this.#run);
  }

  /**
   * @param {boolean} isShown  whether there is a run to show
   * @param {boolean} [isResumable]
   * @param {boolean} [isGoing]
   */
  #show(isShown, isResumable = false, isGoing = false) {
    const { none, head } = this.#parts;
    none.hidden = isShown;
    head.root.hidden = !isShown;
    const rest = this.#parts.log.root.parentElement;
    if (rest) rest.hidden = !isShown;
    none.parentElement?.classList.toggle("run-resumable", isResumable);
    none.parentElement?.classList.toggle("run-going", isGoing);
  }

  /**
   * @param {string} name
   * @param {string} how  the name of an offer of the last answer; "" without
   */
  async #press(name, how) {
    if (!ACTS.includes(name)) return this.#mounted.trigger(name);
    const { head } = this.#parts;
    const in_way = this.#refusal?.in_way ?? [];
    this.#refuse(undefined);
    head.wait(name);
    const values = name === "restart" ? { ...valuesOf("bar"), ...valuesOf("train") } : {};
    const press = { run: this.#run, values, how, in_way };
    const answer =
      await this.#mounted.server[/** @type {"stop" | "resume" | "restart"} */ (name)](press);
    head.release();
    if (answer?.ok) this.#turnTo(answer.run);
    else this.#refuse(answer ?? { ok: false });
    askNews();
  }

  /** Look at the run again, or at the one that takes its place. @param {string} run */
  #turnTo(run) {
    if (run === this.#run) {
      this.#hasEnded = false;
      this.#look();
      return;
    }
    this.#mounted.props.value = run;
    this.#open();
  }

  /** Say why the last press came to nothing; nothing where there is no reason. @param {Refusal | undefined} refusal */
  #refuse(refusal) {
    this.#refusal = refusal;
    const text = refusal ? (refusal.errors?.[language()] ?? this.#words.lost) : "";
    this.#parts.head.answer(text, Boolean(refusal?.in_way?.length));
  }
}

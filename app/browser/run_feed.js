// @ts-check
/** What is new of a run, asked for by stamps and cursors: GET own/run. */

/** @typedef {import("./run_types").RunAnswer} RunAnswer */
/** @typedef {import("./run_types").View} View */

const PLACE = "own/run";
const GONE = 404;

export class RunFeed {
  /** @type {View} */
  #view = { run: "", lang: "", series: [], search: "" };
  #known = { stamp: "", metrics: "", log: "" };
  #version = 0; // of the view: an answer to a question before it is not for us
  #isAsking = false;
  #isDue = false;
  #take;

  /**
   * @param {(answer: RunAnswer | undefined, isThere: boolean) => void} take  an answer to the
   *   present view; undefined where the server did not answer, or knows of no such run
   */
  constructor(take) {
    this.#take = take;
  }

  /**
   * Show something else; what was known of it is asked for anew.
   * @param {Partial<View>} change
   */
  show(change) {
    if ("run" in change) this.#known = { stamp: "", metrics: "", log: "" };
    if ("lang" in change) this.#known.stamp = "";
    if ("series" in change) this.#known.metrics = "";
    if ("search" in change || "lang" in change) this.#known.log = "";
    this.#view = { ...this.#view, ...change };
    this.#version += 1;
  }

  /** Read the lines of the curves anew with the next look. */
  forgetLines() {
    this.#known.metrics = "";
  }

  /** Ask what is new: one question at a time, and once more where another was put meanwhile. */
  async look() {
    this.#isDue = true;
    if (this.#isAsking || !this.#view.run) return;
    this.#isAsking = true;
    while (this.#isDue && this.#view.run) {
      this.#isDue = false;
      const version = this.#version;
      const response = await fetch(`${PLACE}?${this.#query()}`).catch(() => undefined);
      const answer = response?.ok ? await response.json().catch(() => undefined) : undefined;
      if (version !== this.#version) this.#isDue = true;
      else this.#hear(answer, response?.status !== GONE);
    }
    this.#isAsking = false;
  }

  #query() {
    const { run, lang, series, search } = this.#view;
    const query = new URLSearchParams({ run, lang, ...this.#known });
    if (search) query.set("search", search);
    for (const name of series) query.append("series", name);
    return query;
  }

  /**
   * @param {RunAnswer | undefined} answer
   * @param {boolean} isThere
   */
  #hear(answer, isThere) {
    if (answer) {
      this.#known.stamp = answer.stamp;
      this.#known.metrics = answer.metrics?.cursor ?? this.#known.metrics;
      this.#known.log = answer.log?.cursor ?? this.#known.log;
    }
    this.#take(answer, isThere);
  }
}

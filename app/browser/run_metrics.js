// @ts-check
/** The metrics of a stage (rewards, margins, KL...): a choice, what they say, and their curves. */

import { make, setText } from "./dom.js";
import { asText, ORANGE, Plot, stepAxis, trace, valueAxis } from "./plot.js";
import { rawAndSmooth } from "./run_charts.js";

/** @typedef {import("./run_lines.js").Lines} Lines */
/** @typedef {import("./run_types").Metric} Metric */
/** @typedef {Record<string, string>} Words */

const AT_FIRST = 2; // so many metrics are shown before the person chooses
const MOST = 6;
const STRIP = 130; // pixels of one metric among several, its name included
const NAME_ROOM = 24;
const LONGEST = 60; // characters of a name in the plot
const EVAL = "eval_";

export class StageMetrics {
  root;
  #title = make("h4");
  #pick = make("div", { role: "group", class: "run-pick" });
  #meaning = make("dl", { class: "run-meaning" });
  #box = make("div", { class: "run-chart" });
  #plot = new Plot(this.#box);
  /** @type {Metric[]} */
  #metrics = [];
  /** @type {string[]} */
  #picked = [];
  #changed;

  /**
   * @param {string} prefix  of the element ids
   * @param {() => void} changed  called when other metrics were chosen
   */
  constructor(prefix, changed) {
    this.#changed = changed;
    this.#pick.id = `${prefix}-pick`;
    this.#title.id = `${prefix}-pick-title`;
    this.#pick.setAttribute("aria-labelledby", this.#title.id);
    this.#meaning.id = `${prefix}-meaning`;
    this.#box.id = `${prefix}-stage-chart`;
    this.root = make("section", { class: "run-stage", hidden: true });
    this.root.append(this.#title, this.#pick, this.#meaning, this.#box);
  }

  /** @param {Words} words */
  setWords(words) {
    setText(this.#title, words.metrics);
  }

  /** The metrics that a run has. @param {Metric[]} metrics */
  setMetrics(metrics) {
    this.#metrics = metrics;
    this.root.hidden = !metrics.length;
    this.#pick.replaceChildren(...metrics.map((metric) => this.#makeButton(metric.name)));
    this.#tell();
  }

  /** Those of the run that the person picked; with none, the first few. */
  get #shown() {
    const names = this.#metrics.map((metric) => metric.name);
    const picked = this.#picked.filter((name) => names.includes(name));
    return picked.length ? picked : names.slice(0, AT_FIRST);
  }

  get series() {
    return this.#shown.flatMap((name) => [name, EVAL + name]);
  }

  /**
   * Each metric in a strip of its own, with a scale of its own.
   * @param {Lines} lines
   * @param {Words} words
   * @param {string} run
   */
  draw(lines, words, run) {
    const names = this.#shown;
    if (!names.length) return;
    const inner = STRIP * names.length;
    const told = new Set();
    const traces = names.flatMap((name, at) =>
      both(lines, name, words).map((line) => {
        const isFirst = !told.has(line.name);
        told.add(line.name);
        const once = { showlegend: isFirst, legendgroup: line.name };
        return { ...line, ...once, yaxis: `y${number(at)}` };
      }),
    );
    this.#plot.draw(traces, {
      height: inner + 74,
      margin: { l: 52, r: 10, t: 36, b: 38 },
      showlegend: true,
      legend: { orientation: "h", x: 0, y: 1 + 6 / inner, yanchor: "bottom" },
      xaxis: stepAxis(words["chart.step"], { anchor: `y${number(names.length - 1)}` }),
      ...strips(names, inner),
      uirevision: `${names.join(" ")} ${run}`,
    });
  }

  /** @param {string} name */
  #makeButton(name) {
    const button = make("button", { type: "button", "data-name": name }, name);
    button.addEventListener("click", () => this.#toggle(name));
    return button;
  }

  /** @param {string} name */
  #toggle(name) {
    const shown = this.#shown;
    const picked = shown.includes(name) ? shown.filter((each) => each !== name) : [...shown, name];
    this.#picked = picked.slice(-MOST);
    this.#tell();
    this.#changed();
  }

  /** Mark those that are shown, and say what they mean. */
  #tell() {
    const shown = this.#shown;
    for (const button of this.#pick.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(shown.includes(button.dataset.name ?? "")));
    }
    const explained = this.#metrics.filter(({ name, meaning }) => meaning && shown.includes(name));
    this.#meaning.replaceChildren(
      ...explained.map(({ name, meaning }) =>
        make("div", {}, make("dt", {}, name), make("dd", {}, meaning)),
      ),
    );
  }
}

/** The number of an axis in Plotly's names: y, y2, y3... @param {number} at */
const number = (at) => (at ? String(at + 1) : "");

/**
 * A metric of training and of evaluation.
 * @param {Lines} lines
 * @param {string} name
 * @param {Words} words
 */
function both(lines, name, words) {
  const check = lines.points(EVAL + name);
  const traces = rawAndSmooth(lines, name, words);
  if (check.x.length) traces.push(trace(check, words["chart.eval_loss"], ORANGE, true));
  return traces;
}

/**
 * The axes that put each metric, under its name, into a strip of its own.
 * @param {string[]} names
 * @param {number} inner  pixels of all strips
 */
function strips(names, inner) {
  /** @type {Record<string, object>} */
  const layout = {};
  const place = { xref: "paper", yref: "paper", x: 0, xanchor: "left", showarrow: false };
  layout.annotations = names.map((name, at) => {
    const top = 1 - at / names.length;
    const low = Math.max(0, top - 1 / names.length);
    layout[`yaxis${number(at)}`] = valueAxis("", {
      domain: [low, top - NAME_ROOM / inner],
      nticks: 4,
    });
    return { ...place, y: top, yanchor: "top", text: `<b>${asText(name.slice(0, LONGEST))}</b>` };
  });
  return layout;
}

// @ts-check
/** The curves of a training: one at a time, by tabs; a zoom outlives new points. */

import { make, setText } from "./dom.js";
import { BLUE, GREEN, ORANGE, Plot, RED, stepAxis, trace, valueAxis } from "./plot.js";
import { gaps, lowest } from "./run_lines.js";

/** @typedef {import("./run_lines.js").Lines} Lines */
/** @typedef {import("./run_types").Points2d} Points */
/** @typedef {Record<string, string>} Words */

const HEIGHT = 280;
const FAINT = 0.55;
const FEW = 8; // steps; Plotly would write fractions between them
const MAX_MARKS = 100;
const LEGEND = { orientation: "h", x: 0, y: 1, yanchor: "bottom", itemsizing: "constant" };

/** What each tab draws: its series, their colour, and whether its axis begins at zero. */
const KINDS = {
  loss: { series: ["loss", "eval_loss"], color: BLUE, title: "chart.loss", from: "normal" },
  rate: {
    series: ["learning_rate"],
    color: GREEN,
    title: "chart.learning_rate",
    from: "normal",
  },
  norm: { series: ["grad_norm"], color: ORANGE, title: "chart.grad_norm", from: "tozero" },
  speed: {
    series: ["tokens_per_second"],
    color: GREEN,
    title: "chart.tokens_per_second",
    from: "tozero",
  },
  memory: { series: ["memory"], color: BLUE, title: "chart.memory", from: "tozero" },
  disk: {
    series: ["disk_free", "checkpoints"],
    color: BLUE,
    title: "chart.disk_free",
    from: "tozero",
  },
};
const TOP = [0.58, 1]; // the shares of the plot's height where two lines have a scale each
const BOTTOM = [0, 0.42];
/** @typedef {keyof typeof KINDS} Kind */

export class Charts {
  root;
  #kinds = make("div", { role: "group", class: "run-kinds" });
  #logAxis = make("input", { type: "checkbox" });
  #logWords = make("span");
  #box = make("div", { class: "run-chart" });
  #empty = make("p", { class: "run-empty", hidden: true });
  #plot = new Plot(this.#box);
  /** @type {Kind} */
  #kind = "loss";
  #changed;

  /**
   * @param {string} prefix  of the element ids
   * @param {() => void} changed  called when another curve was chosen
   */
  constructor(prefix, changed) {
    this.#changed = changed;
    this.#kinds.id = `${prefix}-chart-kind`;
    this.#box.id = `${prefix}-chart`;
    this.#logAxis.id = `${prefix}-log-axis`;
    for (const kind of Object.keys(KINDS)) {
      const button = make("button", { type: "button", "data-kind": kind });
      button.addEventListener("click", () => this.#choose(/** @type {Kind} */ (kind)));
      this.#kinds.append(button);
    }
    this.#logAxis.addEventListener("change", () => changed());
    const label = make("label", { class: "run-check" }, this.#logAxis, this.#logWords);
    const bar = make("div", { class: "run-bar" }, this.#kinds, label);
    this.root = make("section", { class: "run-curves", hidden: true }, bar, this.#empty, this.#box);
    this.#mark();
  }

  get series() {
    return KINDS[this.#kind].series;
  }

  /** @param {Words} words */
  setWords(words) {
    this.root.setAttribute("aria-label", words.chart);
    this.#kinds.setAttribute("aria-label", words.chart);
    setText(this.#logWords, words.log_axis);
    for (const button of this.#kinds.querySelectorAll("button")) {
      setText(button, words[`chart.kind.${button.dataset.kind}`]);
    }
  }

  /**
   * @param {Lines} lines
   * @param {Words} words
   * @param {string} run
   * @param {string} empty  what is said before the first point
   */
  draw(lines, words, run, empty) {
    const isEmpty = !this.series.some((name) => lines.points(name).x.length);
    this.#empty.hidden = !isEmpty;
    this.#box.hidden = isEmpty;
    setText(this.#empty, empty);
    if (isEmpty) return;
    const { title, from } = KINDS[this.#kind];
    const type = this.#logAxis.checked ? "log" : "linear";
    const traces = this.#trace(lines, words);
    const isNamed = traces.length > 1;
    const isSplit = this.#kind === "disk";
    const axis = { type, rangemode: from };
    const { x: steps } = lines.points(this.series[0]);
    const isShort = steps.length > 0 && steps[steps.length - 1] - steps[0] < FEW;
    this.#plot.draw(traces, {
      height: HEIGHT,
      margin: { l: 52, r: 10, t: isNamed ? 26 : 10, b: 38 },
      legend: LEGEND,
      showlegend: isNamed,
      xaxis: stepAxis(words["chart.step"], {
        ...(isSplit ? { anchor: "y2" } : {}),
        ...(isShort ? { dtick: 1 } : {}),
      }),
      yaxis: valueAxis(isSplit ? "GB" : words[title], {
        ...axis,
        ...(this.#kind === "rate" ? { tickformat: ".1e" } : {}),
        ...(isSplit ? { domain: TOP, nticks: 4 } : {}),
      }),
      ...(isSplit ? { yaxis2: valueAxis("GB", { ...axis, domain: BOTTOM, nticks: 4 }) } : {}),
      uirevision: `${this.#kind} ${type} ${run}`,
    });
  }

  /**
   * @param {Lines} lines
   * @param {Words} words
   */
  #trace(lines, words) {
    if (this.#kind === "loss") return loss(lines, words);
    if (this.#kind === "disk") return disk(lines, words);
    return this.#single(lines, words);
  }

  /**
   * @param {Lines} lines
   * @param {Words} words
   */
  #single(lines, words) {
    const { series, color, title } = KINDS[this.#kind];
    const line = trace(lines.points(series[0]), words[title], color);
    return [this.#kind === "memory" ? { ...line, fill: "tozeroy" } : line];
  }

  /** @param {Kind} kind */
  #choose(kind) {
    this.#kind = kind;
    this.#mark();
    this.#changed();
  }

  #mark() {
    for (const button of this.#kinds.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.kind === this.#kind));
    }
  }
}

/**
 * Training loss, raw and smoothed; evaluation loss, its best marked; crosses for what is no number.
 * @param {Lines} lines
 * @param {Words} words
 */
function loss(lines, words) {
  const [train, check] = [lines.points("loss"), lines.points("eval_loss")];
  const traces = rawAndSmooth(lines, "loss", words);
  if (check.x.length) traces.push(trace(check, words["chart.eval_loss"], ORANGE, true));
  const best = lowest(check);
  if (best) {
    const marker = { symbol: "star", size: 14, color: ORANGE };
    const star = trace({ x: [best.x], y: [best.y] }, words["chart.best"], ORANGE);
    traces.push(Object.assign(star, { mode: "markers", marker }));
  }
  const crosses = gaps([train, check], MAX_MARKS);
  if (crosses.x.length) {
    const name = words["chart.not_a_number"];
    const marker = { symbol: "x", size: 9, color: RED };
    const marks = trace(crosses, name, RED);
    traces.push(Object.assign(marks, { mode: "markers", marker, hovertemplate: marks.name }));
  }
  return traces;
}

/**
 * What is free of the run's disk, and, on a scale of its own, what its checkpoints take.
 * @param {Lines} lines
 * @param {Words} words
 */
function disk(lines, words) {
  const free = trace(lines.points("disk_free"), words["chart.disk_free"], BLUE);
  const points = trace(lines.points("checkpoints"), words["chart.checkpoints"], ORANGE);
  return [
    { ...free, fill: "tozeroy" },
    { ...points, fill: "tozeroy", yaxis: "y2" },
  ];
}

/**
 * A series of training: as it is, faint behind its moving average once it has one.
 * @param {Lines} lines
 * @param {string} name
 * @param {Words} words
 */
export function rawAndSmooth(lines, name, words) {
  const [points, smooth] = [lines.points(name), lines.smooth(name)];
  if (!points.x.length) return [];
  const raw = trace(points, words["chart.train_loss"], BLUE, !smooth);
  if (!smooth) return [raw];
  const line = { color: BLUE, width: 1 };
  return [
    Object.assign(raw, { opacity: FAINT, line }),
    trace(smooth, words["chart.smoothed"], BLUE),
  ];
}

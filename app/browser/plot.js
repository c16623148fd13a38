// @ts-check
/** Plots: plotly.js, loaded when the first one is drawn, and the look that all share. */
import { separators } from "./language.js";

/** @typedef {import("./run_types").Plotly} Plotly */
/** @typedef {import("./run_types").Points2d} Points */

export const BLUE = "#3b8fd9"; // these four are told apart by colour-blind eyes
export const ORANGE = "#d96c00";
export const GREEN = "#0a9b74";
export const RED = "#d1495b";

const DOTS_UP_TO = 40;
const CONFIG = { displaylogo: false, displayModeBar: false, doubleClick: "reset+autosize" };
const AXIS = { zeroline: false, automargin: true, ticks: "", fixedrange: false };
// The style sheet sets the colours of text and grid, so that a plot fits light and dark.
const LAYOUT = {
  paper_bgcolor: "rgba(0,0,0,0)",
  plot_bgcolor: "rgba(0,0,0,0)",
  font: { family: "inherit", size: 12 },
  hovermode: "x unified",
  autosize: true,
};

/** @type {Promise<Plotly> | undefined} */
let library;

/** @returns {Promise<Plotly>} */
function load() {
  library ??= import(new URL("own/plotly.js", document.baseURI).href).then(() => window.Plotly);
  return library;
}

/** A plot in an element; what is drawn last stands there. */
export class Plot {
  #box;
  #revision = 0;
  #isDrawn = false;

  /** @param {HTMLElement} box */
  constructor(box) {
    this.#box = box;
    new ResizeObserver(() => this.#fit()).observe(box);
  }

  /**
   * @param {object[]} traces
   * @param {object} layout
   */
  async draw(traces, layout) {
    this.#revision += 1;
    const revision = this.#revision;
    const plotly = await load();
    if (revision !== this.#revision || !this.#box.isConnected) return;
    const whole = { ...LAYOUT, ...layout, separators: separators(), datarevision: revision };
    await plotly.react(this.#box, traces, whole, CONFIG);
    this.#isDrawn = true;
  }

  async #fit() {
    if (!this.#isDrawn || !this.#box.offsetWidth) return;
    (await load()).Plots.resize(this.#box);
  }
}

/**
 * One line.
 * @param {Points} points
 * @param {string} name
 * @param {string} color
 * @param {boolean} [hasDots]
 */
export function trace(points, name, color, hasDots = false) {
  return {
    type: "scatter",
    x: points.x,
    y: points.y,
    name: asText(name),
    mode: hasDots || points.x.length <= DOTS_UP_TO ? "lines+markers" : "lines",
    line: { color, width: 2 },
    marker: { color, size: hasDots ? 6 : 5 },
    hovertemplate: "%{y:.4g}",
    showlegend: true,
  };
}

/**
 * A value axis.
 * @param {string} title
 * @param {object} [more]
 */
export function valueAxis(title, more = {}) {
  return { ...AXIS, title: { text: asText(title), standoff: 4 }, ...more };
}

/**
 * The axis of the steps.
 * @param {string} title
 * @param {object} [more]
 */
export function stepAxis(title, more = {}) {
  const text = asText(title);
  const unifiedhovertitle = { text: `${text} %{x}` };
  return { ...AXIS, title: { text, standoff: 6 }, unifiedhovertitle, ...more };
}

/**
 * A text as Plotly shows it: it takes tags for its own.
 * @param {string} text
 */
export function asText(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

// @ts-check
/** The run that goes on, in the bar with Start that stays in sight on a phone: state, steps, and Stop. */

import { make, setText } from "./dom.js";

/** @typedef {import("./run_types").Head} HeadData */

const STOP = "stop"; // the name of its button

export class RunBar {
  /** On a phone it is seen even while it is empty, so that the panel knows that it is looked at. */
  root = make("div", { class: "launch-run" });
  /** Called when Stop is pressed. */
  act = () => {};
  #state = make("span", { class: "launch-run-state" });
  #progress = make("span", { class: "launch-run-progress" });
  #stop = make("button", { type: "button", class: "launch-offer" });
  #line = make("div", { hidden: true }, this.#state, this.#progress, this.#stop);

  /** @param {string} panel  the element id of the panel that shows the run */
  constructor(panel) {
    this.#line.id = `${panel}-bar`;
    this.#stop.addEventListener("click", () => {
      this.#stop.disabled = true;
      this.act();
    });
    this.root.append(this.#line);
  }

  /** @param {HeadData | undefined} head  nothing where no run is shown */
  show(head) {
    this.#line.hidden = !head || head.ended;
    if (!head) return;
    setText(this.#state, head.state);
    setText(this.#progress, head.progress);
    const stop = head.buttons.find(({ name }) => name === STOP);
    this.#stop.hidden = !stop;
    this.#stop.disabled = !stop?.enabled;
    setText(this.#stop, stop?.text ?? "");
  }
}

/** @type {Map<string, RunBar>} */
const bars = new Map();

/**
 * The line of a panel, for the panel and for the bar that it stands in, whichever is drawn first.
 * @param {string} panel  its element id
 */
export function barOf(panel) {
  const bar = bars.get(panel) ?? new RunBar(panel);
  bars.set(panel, bar);
  return bar;
}

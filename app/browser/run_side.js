// @ts-check
/** What stands beside the curves of a run: the machine, the checkpoints, where the files are. */

import { make, setText } from "./dom.js";
import { fillTable } from "./run_table.js";

/** @typedef {import("./run_types").Machine} Machine */
/** @typedef {import("./run_types").Points} Points */

export class Side {
  machine = make("section", { class: "run-part", hidden: true });
  points = make("details", { class: "run-checkpoints", hidden: true });
  files = make("p", { class: "run-files run-quiet" });
  #machineTitle = make("h4");
  #disk = make("span", { class: "run-quiet" });
  #gpus = make("table");
  #pointsTitle = make("summary");
  #pointsTable = make("table");
  #filesTitle = make("span");
  #place = make("code");

  /** @param {string} prefix  of the element ids */
  constructor(prefix) {
    this.machine.id = `${prefix}-machine`;
    this.points.id = `${prefix}-checkpoints`;
    this.files.id = `${prefix}-files`;
    const head = make("div", { class: "run-bar" }, this.#machineTitle, this.#disk);
    this.machine.append(head, make("div", { class: "run-scroll" }, this.#gpus));
    const table = make("div", { class: "run-scroll" }, this.#pointsTable);
    this.points.append(this.#pointsTitle, table);
    this.files.append(this.#filesTitle, " ", this.#place);
  }

  /** @param {Record<string, string>} words */
  setWords(words) {
    setText(this.#machineTitle, words.machine);
    setText(this.#filesTitle, words.files);
  }

  /** @param {Machine | null} machine */
  setMachine(machine) {
    this.machine.hidden = !machine;
    if (!machine) return;
    this.#gpus.hidden = !machine.rows.length;
    fillTable(this.#gpus, machine);
    setText(this.#disk, machine.disk);
  }

  /** @param {Points} points */
  setPoints(points) {
    this.points.hidden = !points.rows.length;
    setText(this.#pointsTitle, points.title);
    fillTable(this.#pointsTable, points);
  }

  /** @param {string} place */
  setFiles(place) {
    setText(this.#place, place);
  }
}

// @ts-check
/** The run of the open tab in the address of the page, by its folder from saves/ on. */

import { opened, write } from "./address.js";
import { FIRST } from "./tabs.js";

const SAVES = "saves/";

/**
 * The folder of the run that the address names, for the panel of the tab that it names; else "".
 * @param {HTMLElement} panel
 * @param {string} saves  the folder that holds the runs
 */
export function openedRun(panel, saves) {
  const tab = CSS.escape(opened("tab") || FIRST);
  return panel.closest(`#tab-${tab}`) ? pathOf(opened("run"), saves) : "";
}

/**
 * @param {string} run  as the address has it
 * @param {string} saves
 */
function pathOf(run, saves) {
  return run.startsWith(SAVES) ? `${saves}/${run.slice(SAVES.length)}` : "";
}

/**
 * Say in the address which run a panel shows, while it is seen.
 * @param {HTMLElement} panel
 * @param {string} saves
 * @param {string} run
 */
export function writeRun(panel, saves, run) {
  if (!panel.checkVisibility()) return;
  const isInside = run.startsWith(`${saves}/`);
  write("run", isInside ? SAVES + run.slice(saves.length + 1) : "");
}

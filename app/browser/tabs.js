// @ts-check
/** The tabs of the page: which one is open. */

/** @type {Set<() => void>} */
const listeners = new Set();

/** The name of the open tab, from the id of its button: "tab-train-button"; "" where there is none. */
export function openTab() {
  const button = document.querySelector("#tabs [role=tab][aria-selected=true]");
  return button?.id.split("-")[1] ?? "";
}

/**
 * Do something each time another tab is opened.
 * @param {() => void} act
 */
export function onTab(act) {
  listeners.add(act);
}

/** Another tab is open: each is read from its top. */
export function turn() {
  scrollTo(0, 0);
  for (const act of listeners) act();
}

// @ts-check
/** The language that the page speaks, for all scripts. */

/** @type {Set<{ owner: Element, act: () => void }>} */
const listeners = new Set();
let spoken = "en";

/** Its name, as "zh". */
export const language = () => spoken;

/**
 * Speak a language from now on.
 * @param {string} name
 */
export function speak(name) {
  if (name === spoken) return;
  spoken = name;
  document.documentElement.lang = name;
  for (const listener of listeners) {
    if (listener.owner.isConnected) listener.act();
    else listeners.delete(listener);
  }
}

/**
 * Do something each time the language has changed.
 * @param {Element} owner  while this element is in the page
 * @param {() => void} act
 */
export function onLanguage(owner, act) {
  listeners.add({ owner, act });
}

// @ts-check
/** The language that the page speaks, for all scripts. */

import { recall, store } from "./storage.js";

const KEY = "tuneboard-language";

/** @type {Set<{ owner: Element, act: () => void }>} */
const listeners = new Set();
let spoken = pick();

/** Those that we speak, the default first. */
export function languages() {
  const shipped = document.querySelector("meta[name=languages]")?.getAttribute("content");
  return (shipped ?? "en").split(" ");
}

/** What was chosen before in this browser, else the first of the browser's own that we speak. */
function pick() {
  const names = languages();
  const wanted = [recall(KEY), ...navigator.languages.map((name) => name.split("-")[0])];
  return wanted.find((name) => names.includes(name)) ?? names[0];
}

/**
 * Keep what a person has chosen.
 * @param {string} name
 */
export function choose(name) {
  store(KEY, name);
}

/** Its name, as "zh". */
export const language = () => spoken;

/** Its name, once Gradio has said in the page that it is the browser's own. */
export function claim() {
  document.documentElement.lang = spoken;
  return spoken;
}

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
 * A time as the language and the zone of the visitor write it, without the year where it is this
 * one; "–" for what is no time.
 * @param {string} iso
 */
export function writeTime(iso) {
  const time = new Date(iso);
  if (Number.isNaN(time.valueOf())) return "–";
  const isThisYear = time.getFullYear() === new Date().getFullYear();
  return new Intl.DateTimeFormat(spoken, {
    year: isThisYear ? undefined : "numeric",
    month: "short",
    day: "numeric",
    hour: "numeric",
    minute: "2-digit",
  }).format(time);
}

/**
 * Do something each time the language has changed.
 * @param {Element} owner  while this element is in the page
 * @param {() => void} act
 */
export function onLanguage(owner, act) {
  listeners.add({ owner, act });
}

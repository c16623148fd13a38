// @ts-check
/** The language that the page speaks, for all scripts. */

import { recall, store } from "./storage.js";

const KEY = "tuneboard-language";
const RIGHT_TO_LEFT = ["ar"];

/** @type {Set<{ owner: Element, act: () => void }>} */
const listeners = new Set();
/** @type {Set<(name: string) => Promise<void>>} */
const loaders = new Set();
let spoken = pick();
let wanted = spoken;

/** Those that we speak, the default first. */
export function languages() {
  const shipped = document.querySelector("meta[name=languages]")?.getAttribute("content");
  return (shipped ?? "en").split(" ");
}

/** What was chosen before in this browser, else the first of the browser's own that we speak. */
function pick() {
  const chosen = recall(KEY);
  return languages().includes(chosen) ? chosen : (likely()[0] ?? languages()[0]);
}

/** Those that the browser prefers and we speak: zh-TW is written as zh-Hant is, pt-PT as pt-BR. */
export function likely() {
  const known = new Map(languages().map((name) => [writing(name), name]));
  const names = navigator.languages.map(
    (tag) => known.get(writing(tag)) ?? languages().find((name) => base(name) === base(tag)),
  );
  return [...new Set(names.flatMap((name) => name ?? []))];
}

/** The language of a tag. @param {string} tag */
function base(tag) {
  return new Intl.Locale(tag).language;
}

/** The language and the script of a tag. @param {string} tag */
function writing(tag) {
  const { language, script } = new Intl.Locale(tag).maximize();
  return `${language}-${script}`;
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

/** What leads from one thing to the next in a line of its words. */
export const arrow = () => (isFromRight() ? "←" : "→");

/** Whether it is spoken, or will be once its texts are here. @param {string} name */
export const isWanted = (name) => name === wanted;

/** Its name, once Gradio has said in the page that it is the browser's own. */
export function claim() {
  mark();
  return spoken;
}

/** Say in the page which language it speaks, and in which direction that is written. */
function mark() {
  document.documentElement.lang = spoken;
  document.documentElement.dir = isFromRight() ? "rtl" : "ltr";
}

/** Whether it is written from right to left. */
function isFromRight() {
  return RIGHT_TO_LEFT.includes(spoken);
}

/**
 * Speak a language from now on, once its texts are here.
 * @param {string} name
 */
export async function speak(name) {
  wanted = name;
  if (name === spoken) return;
  await Promise.all([...loaders].map((load) => load(name)));
  if (name !== wanted) return;
  spoken = name;
  mark();
  for (const listener of listeners) {
    if (listener.owner.isConnected) listener.act();
    else listeners.delete(listener);
  }
}

/**
 * Load texts of a language before it is spoken.
 * @param {(name: string) => Promise<void>} load
 */
export function beforeSpeaking(load) {
  loaders.add(load);
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
  return formatOf(spoken, isThisYear).format(time);
}

/** @type {Map<string, Intl.DateTimeFormat>} making one takes longer than a hundred times */
const formats = new Map();

/**
 * @param {string} name  of a language
 * @param {boolean} isThisYear
 */
function formatOf(name, isThisYear) {
  const key = `${name} ${isThisYear}`;
  const format =
    formats.get(key) ??
    new Intl.DateTimeFormat(`${name}-u-nu-latn`, {
      year: isThisYear ? undefined : "numeric",
      month: "short",
      day: "numeric",
      hour: "numeric",
      minute: "2-digit",
    });
  formats.set(key, format);
  return format;
}

/** The signs that stand before decimals and between thousands, as "," and "." in German. */
export function separators() {
  const parts = new Intl.NumberFormat(`${spoken}-u-nu-latn`).formatToParts(123456.7);
  const signs = new Map(parts.map(({ type, value }) => [type, value]));
  return `${signs.get("decimal")}${signs.get("group")}`;
}

/**
 * Do something each time the language has changed.
 * @param {Element} owner  while this element is in the page
 * @param {() => void} act
 */
export function onLanguage(owner, act) {
  listeners.add({ owner, act });
}

// @ts-check
/** What has changed on this machine, asked for all parts of the page in one question. */

import { follow } from "./clock.js";
import { language } from "./language.js";
import { askLatest } from "./requests.js";
import { onTab, openTab } from "./tabs.js";

/** @typedef {(text: string) => void} Listener */
/** @typedef {Record<string, string>} Answer  by name: a stamp of app/services/page/news.py, a text */

const PERIOD_MS = 2000;
const TICK_MS = 500; // what a tick of the clock may come too early

/** @type {Map<string, Set<Listener>>} */
const listeners = new Map();
/** @type {string[]} */
let folders = [];
/** @type {Answer} */
let last = {};
let asked = 0; // when it was asked, in ms of the page's life
let isWaiting = false;

/** Ask at once; a later answer stands for all before it. */
export const askNews = askLatest(read, tell);

/**
 * Hear a part of the news by its name, each time that it is told; whoever comes late hears the last
 * of it at once.
 * @param {string} name
 * @param {Listener} hear
 */
export function subscribe(name, hear) {
  const all = listeners.get(name) ?? new Set();
  listeners.set(name, all.add(hear));
  if (name in last) queueMicrotask(() => hear(last[name]));
  if (listeners.size > 1 || all.size > 1) return;
  follow(() => {
    if (!isWaiting && performance.now() - asked > PERIOD_MS - TICK_MS) askNews();
  });
  onTab(askNews);
  queueMicrotask(askNews);
}

/**
 * The folders whose registries are looked at from now on.
 * @param {string[]} names
 */
export function watchFolders(...names) {
  folders = [...new Set(names)];
  if (listeners.size) askNews();
}

/** @returns {Promise<Answer>} */
async function read() {
  asked = performance.now();
  isWaiting = true;
  try {
    const query = new URLSearchParams({ tab: openTab(), lang: language() });
    for (const folder of folders) query.append("folder", folder);
    const response = await fetch(`own/news?${query}`);
    return response.ok ? await response.json() : {};
  } finally {
    isWaiting = false;
  }
}

/** @param {Answer | undefined} answer */
function tell(answer) {
  last = { ...last, ...answer };
  for (const [name, text] of Object.entries(answer ?? {})) {
    for (const hear of listeners.get(name) ?? []) hear(text);
  }
}

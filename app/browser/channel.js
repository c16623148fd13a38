// @ts-check
/** The link between a form and its launch box: each hears the other's news, by the form's prefix. */

/** @typedef {import("./types").News} News */
/** @typedef {(news: News) => void} Listener */

/** @type {Map<string, Set<{ owner: HTMLElement, hear: Listener }>>} */
const listeners = new Map();
/** @type {Map<string, News>} */
const judgements = new Map();

/**
 * Hear the news of a form; whoever comes late hears the last judgement at once.
 * @param {string} prefix
 * @param {HTMLElement} owner  while this element is in the page
 * @param {Listener} hear
 */
export function subscribe(prefix, owner, hear) {
  const all = listeners.get(prefix) ?? new Set();
  listeners.set(prefix, all.add({ owner, hear }));
  const judgement = judgements.get(prefix);
  if (judgement) hear(judgement);
}

/**
 * Tell everybody who listens to the form.
 * @param {string} prefix
 * @param {News} news
 */
export function publish(prefix, news) {
  if (news.kind === "judged") judgements.set(prefix, news);
  for (const listener of listeners.get(prefix) ?? []) {
    if (listener.owner.isConnected) listener.hear(news);
    else listeners.get(prefix)?.delete(listener);
  }
}

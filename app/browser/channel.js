// @ts-check
/** The link between forms and launch boxes: each hears the news of a form, by the form's name. */

/** @typedef {import("./types").News} News */
/** @typedef {import("./types").Values} Values */
/** @typedef {(news: News) => void} Listener */

/** @type {Map<string, Set<{ owner: HTMLElement, hear: Listener }>>} */
const listeners = new Map();
/** @type {Map<string, News>} */
const judgements = new Map();
/** @type {Map<string, Extract<News, { kind: "values" }>>} */
const known = new Map();

/**
 * Hear the news of a form; whoever comes late hears the last judgement at once.
 * @param {string} form
 * @param {HTMLElement} owner  while this element is in the page
 * @param {Listener} hear
 */
export function subscribe(form, owner, hear) {
  const all = listeners.get(form) ?? new Set();
  listeners.set(form, all.add({ owner, hear }));
  const judgement = judgements.get(form);
  if (judgement) hear(judgement);
}

/**
 * Tell everybody who listens to the form.
 * @param {string} form
 * @param {News} news
 */
export function publish(form, news) {
  if (news.kind === "judged") judgements.set(form, news);
  if (news.kind === "values") known.set(form, news);
  for (const listener of listeners.get(form) ?? []) {
    if (listener.owner.isConnected) listener.hear(news);
    else listeners.get(form)?.delete(listener);
  }
}

/**
 * What a form holds; nothing before it is drawn.
 * @param {string} form
 * @returns {Values}
 */
export function valuesOf(form) {
  return known.get(form)?.values ?? {};
}

/**
 * Those of the values that a form holds that follow from the number of rows.
 * @param {string} form
 * @returns {Values}
 */
export function followedOf(form) {
  return known.get(form)?.followed ?? {};
}

/**
 * The fields of a form that somebody has set although their values could follow from the rows.
 * @param {string} form
 * @returns {string[]}
 */
export function ownOf(form) {
  return known.get(form)?.own ?? [];
}

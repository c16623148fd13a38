// @ts-check
/** The card below the model: what its folder, or the catalog, says of it. */

import { subscribe, valuesOf } from "./channel.js";
import { loadStyle, make } from "./dom.js";
import { language, onLanguage } from "./language.js";
import { askLatest, debounce } from "./requests.js";

/** @typedef {import("./types").Facts} Facts */
/** @typedef {import("./types").FactsServer} Server */
/** @typedef {import("./types").Mounted<null, { form: string }, Server>} Mounted */

const ASK_MS = 150;

/**
 * Draw the card into a component of Gradio.
 * @param {Mounted} mounted
 */
export async function mount({ element, data, server }) {
  await loadStyle("form.css");
  const card = /** @type {HTMLElement} */ (element.querySelector(".facts"));
  let model = "";
  const ask = askLatest(
    () => server.look_up({ model, lang: language() }),
    (answer) => draw(card, answer),
  );
  const askSoon = debounce(ASK_MS, ask);
  const look = () => {
    const chosen = String(valuesOf(data.form).model_name_or_path ?? "");
    if (chosen === model) return;
    model = chosen;
    askSoon();
  };
  subscribe(data.form, element, (news) => {
    if (news.kind === "values") look();
  });
  onLanguage(element, ask);
  look();
}

/**
 * @param {HTMLElement} card
 * @param {Facts | undefined} answer
 */
function draw(card, answer) {
  const pairs = (answer?.facts ?? []).map(([label, value]) =>
    make("div", {}, make("dt", {}, label), make("dd", {}, value)),
  );
  card.setAttribute("aria-label", answer?.title ?? "");
  card.replaceChildren(...pairs);
  card.hidden = !pairs.length;
}

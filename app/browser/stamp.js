// @ts-check
/** A part of the news as the value of a component: its change is an event on the page. */

import { subscribe } from "./news.js";
import { openTab } from "./tabs.js";

/** @typedef {import("./types").Mounted<string, { name: string, tab: string }>} Mounted */

/** @param {Mounted} mounted */
export function mount({ props, data }) {
  subscribe(data.name, (stamp) => {
    const isWanted = !data.tab || data.tab === openTab();
    if (isWanted && props.value !== stamp) props.value = stamp;
  });
}

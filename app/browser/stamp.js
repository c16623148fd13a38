// @ts-check
/** A part of the news as the value of a component: its change is an event on the page. */

import { subscribe } from "./news.js";

/** @typedef {import("./types").Mounted<string, { name: string }>} Mounted */

/** @param {Mounted} mounted */
export function mount({ props, data }) {
  subscribe(data.name, (stamp) => {
    if (props.value !== stamp) props.value = stamp;
  });
}

// @ts-check
/** Light and dark: Gradio shows dark where the body has the class "dark"; the choice is kept. */

import { recall, store } from "./storage.js";

const KEY = "tuneboard-theme";

apply(recall(KEY) || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));

/** Change from light to dark, or back. */
export function toggle() {
  const mode = document.body.classList.contains("dark") ? "light" : "dark";
  store(KEY, mode);
  apply(mode);
}

/** @param {string} mode */
function apply(mode) {
  document.body.classList.toggle("dark", mode === "dark");
}

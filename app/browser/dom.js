// @ts-check
/** Elements without markup (every text is set as text), and the style sheet of the components. */

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | boolean>} [attributes]  true for an attribute without a value
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

/**
 * Set a text only where it is another, so that a selection in it stays.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @type {Map<string, Promise<void>>} */
const styles = new Map();

/**
 * A style sheet beside the scripts, loaded once a page; nothing is drawn before it is there.
 * @param {string} name
 */
export function loadStyle(name) {
  const style = styles.get(name) ?? readStyle(name);
  styles.set(name, style);
  return style;
}

/**
 * @param {string} name
 * @returns {Promise<void>}
 */
function readStyle(name) {
  return new Promise((resolve) => {
    const href = new URL(`./${name}`, import.meta.url).href;
    const link = make("link", { rel: "stylesheet", href });
    for (const event of ["load", "error"]) link.addEventListener(event, () => resolve());
    document.head.append(link);
  });
}

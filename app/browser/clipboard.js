// @ts-check
/** The clipboard. */

/**
 * Write an element's text to the clipboard, which a page without TLS reaches only so.
 * @param {HTMLElement} element
 */
export async function copyText(element) {
  if (navigator.clipboard) return navigator.clipboard.writeText(element.textContent ?? "");
  getSelection()?.selectAllChildren(element);
  document.execCommand("copy");
}

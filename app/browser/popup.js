// @ts-check
/** Popups in the top layer: beside their anchor, and never past the edge of what is seen. */

const EDGE = 8; // pixels that stay free at the edge of the window
const GAP = 4;
const LOW = 200; // with less room, a popup opens on the other side where there is more

/**
 * Show a popup and keep it beside its anchor.
 * @param {HTMLElement} popup  an element with popover="manual"
 * @param {HTMLElement} anchor
 * @param {"below" | "above"} side  below, it is as wide as its anchor at least
 * @returns {() => void} what closes it
 */
export function openPopup(popup, anchor, side) {
  const put = () => place(popup, anchor, side);
  popup.showPopover();
  put();
  const end = new AbortController();
  const options = { signal: end.signal, passive: true, capture: true };
  window.addEventListener("scroll", put, options);
  window.addEventListener("resize", put, options);
  window.visualViewport?.addEventListener("resize", put, options);
  const sizes = new ResizeObserver(put);
  sizes.observe(popup);
  sizes.observe(anchor);
  return () => {
    end.abort();
    sizes.disconnect();
    popup.hidePopover();
  };
}

/**
 * @param {HTMLElement} popup
 * @param {HTMLElement} anchor
 * @param {"below" | "above"} side
 */
function place(popup, anchor, side) {
  const box = anchor.getBoundingClientRect();
  const { top, bottom } = seen();
  const width = document.documentElement.clientWidth;
  const [below, above] = [bottom - box.bottom - GAP - EDGE, box.top - top - GAP - EDGE];
  const low = Math.min(LOW, popup.scrollHeight);
  const under = side === "below" ? below >= low || below >= above : above < low && above < below;
  popup.style.maxHeight = `${Math.max(0, under ? below : above)}px`;
  if (side === "below") popup.style.minWidth = `${box.width}px`;
  const isFromRight = getComputedStyle(popup).direction === "rtl";
  const start = isFromRight ? box.right - popup.offsetWidth : box.left;
  const left = Math.min(start, width - EDGE - popup.offsetWidth);
  popup.style.left = `${Math.max(EDGE, left)}px`;
  popup.style.top = `${under ? box.bottom + GAP : box.top - GAP - popup.offsetHeight}px`;
}

/** The part of the window that no keyboard on the screen covers. */
function seen() {
  const view = window.visualViewport;
  const top = view?.offsetTop ?? 0;
  return { top, bottom: top + (view?.height ?? window.innerHeight) };
}

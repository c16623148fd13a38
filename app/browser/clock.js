// @ts-check
/** The page's one clock: a second each for all who follow it, and still while nobody looks. */

const PERIOD_MS = 1000;

/** @type {Set<() => void>} */
const followers = new Set();
let timer = 0;

document.addEventListener("visibilitychange", () => {
  if (!isSeen()) return stop();
  start();
  tick();
});

/**
 * Be called each second while the page is seen, and at once when it is seen again.
 * @param {() => void} callback
 * @returns {() => void} what ends it
 */
export function follow(callback) {
  const follower = () => callback(); // one of its own: two may follow with the same callback
  followers.add(follower);
  start();
  return () => {
    followers.delete(follower);
    if (!followers.size) stop();
  };
}

function start() {
  if (!timer && followers.size && isSeen()) timer = setInterval(tick, PERIOD_MS);
}

function stop() {
  clearInterval(timer);
  timer = 0;
}

/** The failure of one follower leaves the others their second. */
function tick() {
  for (const follower of [...followers]) {
    try {
      follower();
    } catch (error) {
      reportError(error);
    }
  }
}

const isSeen = () => document.visibilityState === "visible";

// @ts-check
/** Requests to the server: delayed while a person types, and only the latest answer is used. */

const RETRY_MS = 1000;

/**
 * A function that does something once nobody has called it for a while.
 * @param {number} ms
 * @param {() => void} act
 */
export function debounce(ms, act) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, ms);
  };
}

/**
 * Read JSON; while the server does not answer, ask again.
 * @template Content
 * @param {string} address
 * @returns {Promise<Content>}
 */
export async function readJson(address) {
  for (let wait = RETRY_MS; ; wait *= 2) {
    const response = await fetch(address).catch(() => undefined);
    if (response?.ok) return response.json();
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/**
 * A function that asks and hands on the answer, unless something else has been asked since.
 * @template Answer
 * @param {() => Promise<Answer>} ask
 * @param {(answer: Answer | undefined) => void} take  undefined where there came none
 */
export function askLatest(ask, take) {
  let last = 0;
  return async () => {
    last += 1;
    const number = last;
    const answer = await ask().catch(() => undefined);
    if (number === last) take(answer);
  };
}

/**
 * A function that asks one question at a time: of those that come up meanwhile, the newest is asked
 * once the answer is here, which is then of no use any more.
 * @template Answer
 * @param {() => Promise<Answer>} ask
 * @param {(answer: Answer | undefined) => void} take  undefined where there came none
 */
export function askInTurn(ask, take) {
  let isBusy = false;
  let isDue = false;
  return async () => {
    isDue = true;
    if (isBusy) return;
    isBusy = true;
    while (isDue) {
      isDue = false;
      const answer = await ask().catch(() => undefined);
      if (!isDue) take(answer);
    }
    isBusy = false;
  };
}

// @ts-check
/** What this browser keeps for the page; nothing where a person has forbidden that, or it is full. */

/**
 * @param {string} key
 * @param {string} text
 * @param {boolean} [brief]  only until the browser's tab is closed
 */
export function store(key, text, brief = false) {
  try {
    (brief ? sessionStorage : localStorage).setItem(key, text);
  } catch {
    // The page works all the same.
  }
}

/**
 * @param {string} key
 * @param {boolean} [brief]
 * @returns {string}  "" for nothing
 */
export function recall(key, brief = false) {
  try {
    return (brief ? sessionStorage : localStorage).getItem(key) ?? "";
  } catch {
    return "";
  }
}

/**
 * Whether a text names an argument whose value must not be kept.
 * @param {string} text
 * @param {string[]} secrets
 */
export function namesSecret(text, secrets) {
  const written = text.replaceAll("-", "_");
  return secrets.some((secret) => written.includes(secret));
}

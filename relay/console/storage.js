/** What this browser keeps between visits. Some browsers have no storage, or forbid it: then choices last for one visit. */

/** What is kept; null: nothing yet, undefined: there is no storage. @param {string} key @returns {string | null | undefined} */
export function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return undefined;
  }
}

/** @param {string} key @param {string | null} value null: keep nothing */
export function store(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch { /* no storage: for this visit only */ }
}

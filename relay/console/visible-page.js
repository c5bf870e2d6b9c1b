/** Says to Relay that this page is being looked at, so that nothing is sent elsewhere meanwhile. */

import { Problem, sayVisible } from './api.js';

const EVERY_MS = 30_000;
const FOR_SECONDS = 45; // a report may be late, and none comes from a machine that sleeps

/** Reports at once, then now and again while the page is visible, and at once when it no longer is. */
export function reportVisibility() {
  let timer = 0;
  const report = async () => {
    clearInterval(timer);
    const visible = !document.hidden;
    if (visible) timer = window.setInterval(() => say(true), EVERY_MS);
    await say(visible);
  };
  document.addEventListener('visibilitychange', report);
  return report();
}

/** What Relay does not hear counts for a while, and then no more. @param {boolean} visible */
async function say(visible) {
  try {
    await sayVisible(visible, FOR_SECONDS);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
  }
}

/** Says to Relay that this page is being looked at, so that nothing is sent elsewhere meanwhile. */

import { Problem, sayVisible } from './api.js';

const EVERY_MS = 30_000;
const FOR_SECONDS = 45; // a report may be late, and none comes from a machine that sleeps

let timer = 0;

/** Reports at once, then now and again while the page is visible, and at once when it no longer is. */
export function reportVisibility() {
  document.addEventListener('visibilitychange', reportNow);
  return reportNow();
}

/** Relay notes it for users with a channel only, so it is reported anew when there is one. */
export async function reportNow() {
  clearInterval(timer);
  if (!document.hidden) timer = window.setInterval(say, EVERY_MS);
  await say();
}

/** What Relay does not hear counts for a while, and then no more. */
async function say() {
  try {
    await sayVisible(!document.hidden, FOR_SECONDS);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
  }
}

/** Says words to screen readers. What comes at once is said together: the later would take the place of the earlier. */

import { byId } from './dom.js';

const TOGETHER_MS = 100;
const MOST = 3; // that are said; of a flood, the rest is counted

/** @type {string[]} */
let waiting = [];

/** @param {string} sentence */
export function announce(sentence) {
  waiting.push(sentence);
  if (waiting.length === 1) setTimeout(speak, TOGETHER_MS);
}

function speak() {
  const more = waiting.length - MOST;
  byId('announcer').textContent = [...waiting.slice(0, MOST), ...(more > 0 ? [`And ${more} more.`] : [])].join(' ');
  waiting = [];
}

/** Times as people say them. Pure: no document, no clock. */

const GUESS_AFTER = 20; // seconds, and
const GUESS_FROM = 0.05; // of the way: earlier a guess of what is left says nothing

/** 4.2 s, 48 s, 3:07, 1:02:33. @param {number} seconds @param {boolean} whole */
export function duration(seconds, whole) {
  if (seconds < 10 && !whole) return `${seconds.toFixed(1)} s`;
  const all = Math.floor(seconds);
  if (all < 60) return `${all} s`;
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(all / 3600), Math.floor(all / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(all % 60)}` : `${minutes}:${two(all % 60)}`;
}

/** As if it went on as it went so far. @param {{ progress: number | null, startedAt: number }} task @param {number} now ms */
export function left({ progress, startedAt }, now) {
  const elapsed = (now - startedAt) / 1000;
  if (progress === null || progress < GUESS_FROM || progress >= 1 || elapsed < GUESS_AFTER) return '';
  const seconds = (elapsed * (1 - progress)) / progress;
  if (seconds < 60) return 'less than a minute left';
  return seconds < 5400 ? `about ${Math.round(seconds / 60)} min left` : `about ${Math.round(seconds / 3600)} h left`;
}

/** @param {number} seconds */
export function ago(seconds) {
  if (seconds < 60) return 'just now';
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 129_600 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86_400)} days ago`;
}

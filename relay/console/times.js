/** Times as text. Pure: no document, no clock. */

const ESTIMATE_AFTER_SECONDS = 20; // and
const ESTIMATE_FROM_PROGRESS = 0.05; // before either, an estimate of the time left is too uncertain

const LONGEST_SECONDS = 100 * 365 * 86_400; // a longer time is a wrong clock or a wrong field, and has no room on a card

/** < 0.1 s, 4.2 s, 48 s, 3:07, 1:02:33. @param {number} seconds @param {boolean} whole */
export function duration(seconds, whole) {
  if (seconds < 0.05 && !whole) return '< 0.1 s';
  if (seconds > LONGEST_SECONDS) return 'over 100 years';
  const shown = whole ? seconds : Math.round(seconds * 10) / 10;
  if (shown < 10 && !whole) return `${shown.toFixed(1)} s`;
  const all = Math.floor(shown);
  if (all < 60) return `${all} s`;
  const two = (/** @type {number} */ value) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(all / 3600), Math.floor(all / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(all % 60)}` : `${minutes}:${two(all % 60)}`;
}

/** An estimate: progress goes on at its average rate. @param {{ progress: number | null, started_at: string }} task @param {number} now ms */
export function left({ progress, started_at: startedAt }, now) {
  const elapsed = (now - Date.parse(startedAt)) / 1000;
  if (progress === null || progress < ESTIMATE_FROM_PROGRESS || progress >= 1 || elapsed < ESTIMATE_AFTER_SECONDS) return '';
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

const day = { from: 0, until: 0 }; // the last one that was asked about: to find its bounds takes a microsecond

/** Whether two times are of one day, by this machine's clock. @param {number} a ms @param {number} b ms */
export function sameDay(a, b) {
  if (a < day.from || a >= day.until) {
    const midnight = new Date(a);
    midnight.setHours(0, 0, 0, 0);
    day.from = midnight.getTime();
    midnight.setDate(midnight.getDate() + 1);
    day.until = midnight.getTime();
  }
  return b >= day.from && b < day.until;
}

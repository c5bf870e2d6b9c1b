/** The edge between the tasks and the log: a pointer or keys move it, and this browser keeps where it is. */

import { byId } from './dom.js';
import { hasModifier } from './keys.js';
import { store, stored } from './storage.js';

const [LEAST, MOST] = [280, 720]; // pixels of the tasks
const LOG_LEAST = 360; // pixels that stay for the log
const KEPT_AS = 'relay.task-width';
/** @type {Record<string, number>} in pixels, to the right */
const STEPS = { ArrowLeft: -16, ArrowRight: 16, PageUp: 64, PageDown: -64 };

export function installTaskWidth() {
  const [board, edge] = [byId('board'), byId('task-width')];
  const tasks = /** @type {HTMLElement} */ (edge.previousElementSibling);
  const most = () => Math.max(LEAST, Math.min(MOST, window.innerWidth - LOG_LEAST));
  const isReversed = () => getComputedStyle(board).direction === 'rtl';

  /** @param {number | null} width null: the usual one */
  const set = (width) => {
    if (width === null) board.style.removeProperty('--task-width');
    else board.style.setProperty('--task-width', `${Math.round(Math.max(LEAST, Math.min(most(), width)))}px`);
    report();
  };
  const report = () => {
    const width = Math.round(tasks.getBoundingClientRect().width);
    if (width === 0) return; // it is not on screen
    edge.setAttribute('aria-valuemax', String(Math.max(most(), width)));
    edge.setAttribute('aria-valuenow', String(width));
    edge.setAttribute('aria-valuetext', `${width} pixels`);
  };
  const keep = () => store(KEPT_AS, board.style.getPropertyValue('--task-width') || null);

  edge.setAttribute('aria-valuemin', String(LEAST));
  set(keptWidth());
  new ResizeObserver(report).observe(tasks);

  edge.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    event.preventDefault(); // no text is selected meanwhile
    edge.focus();
    edge.setPointerCapture(event.pointerId);
  });
  edge.addEventListener('pointermove', ({ pointerId, clientX }) => {
    if (!edge.hasPointerCapture(pointerId)) return;
    const { left, right } = board.getBoundingClientRect();
    set(isReversed() ? right - clientX : clientX - left);
  });
  edge.addEventListener('lostpointercapture', keep);
  edge.addEventListener('dblclick', () => { set(null); keep(); });
  edge.addEventListener('keydown', (event) => {
    if (hasModifier(event)) return;
    const { width } = tasks.getBoundingClientRect();
    if (event.key in STEPS) set(width + STEPS[event.key] * (isReversed() && event.key.startsWith('Arrow') ? -1 : 1));
    else if (event.key === 'Home') set(LEAST);
    else if (event.key === 'End') set(MOST);
    else if (event.key === 'Enter') set(null);
    else return;
    event.preventDefault();
    keep();
  });
}

/** The width that was kept, in pixels; null: none. */
function keptWidth() {
  const width = parseInt(stored(KEPT_AS) ?? '', 10);
  return Number.isFinite(width) ? width : null;
}

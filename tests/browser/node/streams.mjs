/** A RelayStream whose other end is the test: no network, and time moves when the test says so. */
import { mock } from 'node:test';

const ADDRESS = process.env.RELAY_STREAM ?? new URL('../../../relay/console/relay-stream.js', import.meta.url).href;
export const module = await import(ADDRESS);

/** What the browser reports to a page arrives here: `online`, `pagehide` … */
export const browser = new EventTarget();
globalThis.addEventListener = browser.addEventListener.bind(browser);

/** A WebSocket or EventSource whose other end is the test. */
export class FakeLine extends EventTarget {
  static opened = [];

  constructor(url) {
    super();
    this.url = new URL(url);
    FakeLine.opened.push(this);
  }

  say(...messages) {
    this.onmessage?.({ data: JSON.stringify(messages) });
  }

  sse(type, data) {
    this.dispatchEvent(Object.assign(new Event(type), { data: JSON.stringify(data) }));
  }

  end(code = 1006) {
    this.onclose?.({ code });
    this.onerror?.();
  }

  close() {
    this.closed = true;
  }
}

export const hello = (cursor, more = {}) => ({ type: 'hello', cursor, resumed: true, oldest: 1, heartbeat_s: 25, ...more });
export const event = (seq, epoch = 'e') => ({
  id: `id${seq}`, seq, cursor: `${epoch}.${seq}`, event_type: 'log', ts: '2025-01-01T00:00:00Z',
  received_at: '2025-01-01T00:00:00Z', payload: {},
});
export const settle = async () => { for (let turn = 0; turn < 20; turn += 1) await Promise.resolve(); };
export const last = () => FakeLine.opened.at(-1);

export async function open(options = {}) {
  const stream = new module.RelayStream({
    url: 'https://relay.test/', after: 'e.0', WebSocket: FakeLine, EventSource: FakeLine, ...options,
  });
  const seen = { events: [], states: [], gaps: [], hellos: [] };
  stream.addEventListener('event', ({ detail }) => seen.events.push(detail.seq));
  stream.addEventListener('state', ({ detail }) => seen.states.push(detail.state));
  stream.addEventListener('gap', ({ detail }) => seen.gaps.push([detail.from, detail.to]));
  stream.addEventListener('hello', ({ detail }) => seen.hellos.push(detail));
  await settle();
  return { stream, seen };
}

export async function pass(ms) {
  mock.timers.tick(ms);
  await settle();
}

export function startOver() {
  FakeLine.opened.length = 0;
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: Date.parse('2025-01-01T00:01:00Z') });
}

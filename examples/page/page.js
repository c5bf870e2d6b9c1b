/** A page on your own host that watches a Relay on another one. No cookie, no library. */

// Never take this from the page's URL: a link could then load a script from any host.
const relay = document.querySelector('meta[name=relay]').content;

const byId = (id) => document.getElementById(id);

/** A browser does not tell a page why a request failed: one that CORS refuses looks like a server that is away. */
const unreachable = `${relay} does not list this page's origin (${location.origin}) in its setting CORS, or is away.`;

const { RelayStream } = await import(`${relay}/console/relay-stream.js`).catch((problem) => {
  byId('state').textContent = `${unreachable} Reload this page to try again.`;
  throw problem;
});

/** Where this page stores its session. Every script of this origin can read it, so load no others. */
const KEY = 'relay session';

/** Calls the API. A refusal is thrown with Relay's own text. */
async function call(method, path, token, body) {
  const headers = { ...(token && { Authorization: `Bearer ${token}` }), ...(body && { 'Content-Type': 'application/json' }) };
  const answer = await fetch(relay + path, { method, headers, body: body && JSON.stringify(body) });
  const fields = await answer.json();
  if (!answer.ok) throw new Error(`${fields.title}: ${fields.detail} (${answer.headers.get('X-Request-ID')})`);
  return fields;
}

/** The session to watch with: a new one if there is none or the last one was refused. */
async function getCredential({ expired }) {
  const kept = localStorage.getItem(KEY);
  if (kept !== null && !expired) return kept;
  const { session_token: made } = await call('POST', '/api/user');
  localStorage.setItem(KEY, made);
  return made;
}

const stream = new RelayStream({ url: relay, getCredential, after: 'oldest' });

/** JSON has numbers that JavaScript cannot hold: they are marked, and not shown as another number or as null. */
const marked = (_name, value) => (typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER ? `≈ ${value}` : value);

stream.addEventListener('state', ({ detail }) => {
  const lost = detail.state === 'waiting' && !detail.reason;
  byId('state').textContent = detail.state === 'live' ? 'Live' : lost ? `Waiting: ${unreachable}` : `${detail.state} ${detail.reason ?? ''}`;
  byId('producer').disabled = localStorage.getItem(KEY) === null;
});

stream.addEventListener('hello', ({ detail: hello }) => {
  if (hello.reason) byId('events').replaceChildren(); // a new epoch, as of another user: all stored events are sent again
});

stream.addEventListener('event', ({ detail: event }) => {
  const item = document.createElement('li');
  item.textContent = `${event.event_type} ${event.task_id ?? ''} ${JSON.stringify(event.payload, marked)}`; // text, never HTML
  byId('events').append(item);
});

byId('producer').addEventListener('click', async () => {
  const line = byId('line');
  line.hidden = false;
  try {
    const { token } = await call('POST', '/api/token', localStorage.getItem(KEY), { name: 'from the page' });
    line.textContent = `curl ${relay}/api/webhook/cli -H 'Authorization: Bearer ${token}' -H 'Content-Type: application/json'`
      + ` -d '{"event_type":"log","ts":"${new Date().toISOString()}","payload":{"message":"hello"}}'`;
  } catch (problem) {
    line.textContent = problem.message;
  }
});

/** A page of yours, on a host of yours, that watches a Relay elsewhere. No cookie, no library. */

// Never from the page's own address: whoever writes a link to it would choose whose script runs.
const relay = document.querySelector('meta[name=relay]').content;
const { RelayStream } = await import(`${relay}/console/relay-stream.js`);

/** Where this page keeps who it is. Every script of this origin can read it, so load no others. */
const KEY = 'relay session';

const byId = (id) => document.getElementById(id);

/** A call; what Relay refuses is thrown with its own words. */
async function call(method, path, token, body) {
  const headers = { ...(token && { Authorization: `Bearer ${token}` }), ...(body && { 'Content-Type': 'application/json' }) };
  const answer = await fetch(relay + path, { method, headers, body: body && JSON.stringify(body) });
  const said = await answer.json();
  if (!answer.ok) throw new Error(`${said.title}: ${said.detail} (${answer.headers.get('X-Request-ID')})`);
  return said;
}

/** The session to watch with; a new one when there is none, or when Relay refused the last. */
async function getCredential({ expired }) {
  const kept = localStorage.getItem(KEY);
  if (kept !== null && !expired) return kept;
  const { session_token: made } = await call('POST', '/api/user');
  localStorage.setItem(KEY, made);
  return made;
}

const stream = new RelayStream({ url: relay, getCredential, after: 'oldest' });

stream.addEventListener('state', ({ detail }) => {
  byId('state').textContent = detail.state === 'live' ? 'Live' : `${detail.state} ${detail.reason ?? ''}`;
  byId('producer').disabled = localStorage.getItem(KEY) === null;
});

stream.addEventListener('event', ({ detail: event }) => {
  const item = document.createElement('li');
  item.textContent = `${event.event_type} ${event.task_id ?? ''} ${JSON.stringify(event.payload)}`; // text, never HTML
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

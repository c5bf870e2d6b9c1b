/** The same with nothing of Relay's: the browser's own EventSource, and a ticket for each connection. */

const relay = document.querySelector('meta[name=relay]').content;
const KEY = 'relay session'; // every script of this origin can read what it keeps
const LONGEST = 30_000; // ms between two attempts
const byId = (id) => document.getElementById(id);

let seen = 'oldest'; // where the next connection starts: behind all that was taken in
let attempt = 0;

async function post(path, token) {
  const answer = await fetch(relay + path, { method: 'POST', headers: token ? { Authorization: `Bearer ${token}` } : {} });
  if (answer.status === 401) localStorage.removeItem(KEY); // it has ended: be somebody new next time
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** Opens one stream, once, within half a minute; unlike a token it may stand in a URL. */
async function freshTicket() {
  const kept = localStorage.getItem(KEY) ?? (await post('/api/user')).session_token;
  localStorage.setItem(KEY, kept);
  return (await post('/api/rt/ticket', kept)).ticket;
}

async function connect() {
  try {
    const query = new URLSearchParams({ after: seen, ticket: await freshTicket() });
    listen(new EventSource(`${relay}/api/sse?${query}`));
  } catch {
    again();
  }
}

/** @param {EventSource} source */
function listen(source) {
  source.addEventListener('hello', ({ data, lastEventId }) => {
    const { reason } = JSON.parse(data);
    if (reason) byId('events').replaceChildren(); // other numbers than ours: everything comes again
    seen = lastEventId;
    attempt = 0;
    byId('state').textContent = 'Live';
  });
  source.addEventListener('gap', ({ data, lastEventId }) => {
    const { from, to } = JSON.parse(data);
    show(`${from} to ${to} are no longer stored`);
    seen = lastEventId;
  });
  source.onmessage = ({ data, lastEventId }) => {
    const { event_type: type, task_id: task = '', payload } = JSON.parse(data);
    show(`${type} ${task} ${JSON.stringify(payload)}`);
    seen = lastEventId;
  };
  source.onerror = () => {
    source.close(); // by itself it would ask for the same URL, whose ticket is spent
    again();
  };
}

function again() {
  byId('state').textContent = 'Waiting';
  attempt += 1;
  const longest = Math.min(LONGEST, 500 * 2 ** attempt);
  setTimeout(connect, longest * (0.5 + Math.random() / 2)); // a thousand pages do not come back as one
}

function show(text) {
  const item = document.createElement('li');
  item.textContent = text; // never HTML: it is whatever a producer sent
  byId('events').append(item);
}

connect();

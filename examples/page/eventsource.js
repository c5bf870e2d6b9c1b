/** The same as page.js without Relay's client: EventSource, and a ticket for each connection. */

const relay = document.querySelector('meta[name=relay]').content;
const KEY = 'relay session'; // in localStorage, which every script of this origin can read
const LONGEST = 30_000; // ms between two attempts
const byId = (id) => document.getElementById(id);

/** A browser does not tell a page why a request failed: one that CORS refuses looks like a server that is away. */
const unreachable = `${relay} does not list this page's origin (${location.origin}) in its setting CORS, or is away.`;

let seen = 'oldest'; // where the next connection starts: after the last event that was shown
let attempt = 0;

async function post(path, token) {
  const answer = await fetch(relay + path, { method: 'POST', headers: token ? { Authorization: `Bearer ${token}` } : {} });
  if (answer.status === 401) localStorage.removeItem(KEY); // it has ended: create a new user next time
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** A ticket opens one stream, once, within 30 seconds. Unlike a token it may be part of a URL. */
async function freshTicket() {
  const kept = localStorage.getItem(KEY) ?? (await post('/api/user')).session_token;
  localStorage.setItem(KEY, kept);
  return (await post('/api/rt/ticket', kept)).ticket;
}

async function connect() {
  try {
    const query = new URLSearchParams({ after: seen, ticket: await freshTicket() });
    listen(new EventSource(`${relay}/api/sse?${query}`));
  } catch (problem) {
    again(problem instanceof TypeError ? unreachable : problem.message); // a TypeError: there is no answer to read
  }
}

/** @param {EventSource} source */
function listen(source) {
  source.addEventListener('hello', ({ data, lastEventId }) => {
    const { reason } = JSON.parse(data);
    if (reason) byId('events').replaceChildren(); // a new epoch: all stored events are sent again
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
    show(`${type} ${task} ${JSON.stringify(payload, marked)}`);
    seen = lastEventId;
  };
  source.onerror = () => {
    source.close(); // it would reconnect with the same URL and its used ticket
    again('');
  };
}

/** JSON has numbers that JavaScript cannot hold: they are marked, and not shown as another number or as null. */
function marked(_name, value) {
  return typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER ? `≈ ${value}` : value;
}

function again(why) {
  byId('state').textContent = why ? `Waiting: ${why}` : 'Waiting';
  attempt += 1;
  const longest = Math.min(LONGEST, 500 * 2 ** attempt);
  setTimeout(connect, longest * (0.5 + Math.random() / 2)); // so that not all pages reconnect at once
}

function show(text) {
  const item = document.createElement('li');
  item.textContent = text; // never as HTML: a producer can send anything
  byId('events').append(item);
}

connect();

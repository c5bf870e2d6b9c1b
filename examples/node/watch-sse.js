// Prints each event of a stream as a line of JSON. Server-sent events, with the package `eventsource`.
//
//   node watch-sse.js              from now on
//   node watch-sse.js 4ad9…f1d.42  after that cursor, without duplicates or holes

import { EventSource } from 'eventsource';

const { RELAY_URL = 'http://127.0.0.1:8000', RELAY_TOKEN } = process.env;

let cursor = process.argv[2];
watch();

function watch() {
  const from = cursor ? `?after=${encodeURIComponent(cursor)}` : '';
  const stream = new EventSource(`${RELAY_URL}/api/sse${from}`, { fetch: authorized });

  stream.addEventListener('message', ({ data, lastEventId }) => {
    console.log(data);
    cursor = lastEventId;
  });

  stream.addEventListener('hello', ({ data, lastEventId }) => {
    cursor = lastEventId;
    const { reason } = JSON.parse(data);
    if (reason) console.error('the stream starts over:', reason);
  });

  // events that were deleted before they were read
  stream.addEventListener('gap', ({ data, lastEventId }) => {
    cursor = lastEventId;
    console.error('missing:', data);
  });

  stream.addEventListener('close', ({ data }) => {
    const { code, reason } = JSON.parse(data);
    if (code === 4401 || code === 4403) giveUp(reason); // otherwise it reconnects by itself
  });

  stream.addEventListener('error', ({ code, message }) => {
    if (stream.readyState !== EventSource.CLOSED) return; // it reconnects by itself, with its cursor
    if (code >= 400 && code < 500 && code !== 429) giveUp(message);
    setTimeout(watch, 5_000); // an answer that is not a stream closes an EventSource for good: open another one
  });
}

function authorized(url, init) {
  return fetch(url, { ...init, headers: { ...init.headers, Authorization: `Bearer ${RELAY_TOKEN}` } });
}

function giveUp(why) {
  console.error('Relay refused:', why);
  process.exit(1);
}

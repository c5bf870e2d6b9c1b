// Prints each event of a stream as a line of JSON. WebSocket, with the package `ws`.
//
//   node watch-ws.js              from now on
//   node watch-ws.js 4ad9…f1d.42  after that cursor, without duplicates or holes

import WebSocket from 'ws';

const { RELAY_URL = 'http://127.0.0.1:8000', RELAY_TOKEN } = process.env;

let cursor = process.argv[2];
watch();

function watch() {
  const from = cursor ? `?after=${encodeURIComponent(cursor)}` : '';
  const socket = new WebSocket(`${RELAY_URL.replace(/^http/, 'ws')}/api/rt${from}`, {
    headers: { Authorization: `Bearer ${RELAY_TOKEN}` },
    handshakeTimeout: 10_000,
  });
  let pause = 1_000; // ms until the next attempt, unless Relay sends another value
  let heartbeat = 25_000;
  let silence;

  // Relay pings a silent client, and `ws` answers. Without pings, the connection is lost.
  const alive = () => {
    clearTimeout(silence);
    silence = setTimeout(() => socket.terminate(), 2.5 * heartbeat);
  };
  socket.on('open', alive).on('ping', alive);

  socket.on('message', (data) => {
    alive();
    const message = JSON.parse(data);
    cursor = message.cursor ?? cursor;
    if (message.event_type) {
      console.log(String(data));
    } else if (message.type === 'hello') {
      heartbeat = message.heartbeat_s * 1_000;
      if (message.reason) console.error('the stream starts over:', message.reason);
    } else if (message.type === 'gap') {
      console.error('missing:', String(data)); // deleted before they were read
    } else if (message.type === 'close') {
      pause = message.retry_after_ms ?? pause;
    }
  });

  socket.on('unexpected-response', (request, { statusCode }) => {
    if (statusCode >= 400 && statusCode < 500 && statusCode !== 429) giveUp(`${statusCode}`);
    request.destroy(new Error(`answered ${statusCode}`));
  });

  socket.on('error', (error) => console.error('Relay is away:', error.message));

  socket.on('close', (code, reason) => {
    clearTimeout(silence);
    if (code === 4401 || code === 4403) giveUp(String(reason));
    setTimeout(watch, pause + Math.random() * 1_000); // so that not all clients reconnect at once
  });
}

function giveUp(why) {
  console.error('Relay refused:', why);
  process.exit(1);
}

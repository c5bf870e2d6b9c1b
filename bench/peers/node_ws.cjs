// Node's http and the ws package, in memory: no credential, no validation beyond JSON.
//
//     NODE_PATH=... node node_ws.cjs PORT
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const { WebSocketServer } = require("ws");

const sockets = new Map(); // of each user: functions that write an event

function follow(user, write) {
  if (!sockets.has(user)) sockets.set(user, new Set());
  sockets.get(user).add(write);
  return () => sockets.get(user).delete(write);
}

function publish(user, line) {
  const text = JSON.stringify(JSON.parse(line));
  for (const write of sockets.get(user) ?? []) write(text);
}

function answer(request, response) {
  const url = new URL(request.url, "http://bench");
  const user = url.searchParams.get("user");
  if (url.pathname === "/api/sse") {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write("retry: 2000\n\n");
    request.on("close", follow(user, (text) => response.write(`data: ${text}\n\n`)));
    return;
  }
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts).toString();
    const many = request.headers["content-type"] === "application/x-ndjson";
    for (const line of many ? body.trimEnd().split("\n") : body ? [body] : []) publish(user, line);
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": 11 });
    response.end('{"ok":true}');
  });
}

const { TLS_CERTIFICATE: certificate, TLS_KEY: key } = process.env;
const server = certificate
  ? https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, answer)
  : http.createServer(answer);

new WebSocketServer({ server, perMessageDeflate: false }).on("connection", (socket, request) => {
  const user = new URL(request.url, "http://bench").searchParams.get("user");
  socket.on("close", follow(user, (text) => socket.send(text)));
});

server.listen(Number(process.argv[2]), "127.0.0.1");

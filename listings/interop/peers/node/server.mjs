// Server-Sent Events with better-sse, which encodes the events and sends the
// heartbeats.

import { createServer } from "node:http";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";

import { createSession } from "better-sse";

const { values: flags } = parseArgs({
  options: {
    addr: { type: "string", default: "127.0.0.1:0" },
    every: { type: "string", default: "2s" },
    heartbeat: { type: "string", default: "15s" },
    "max-readers": { type: "string", default: "Infinity" },
    "until-stdin-closes": { type: "boolean", default: false },
  },
});

/** A time such as 500ms, in milliseconds. */
function duration(text) {
  const units = { ns: 1e-6, us: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5 };
  const [, number, unit] = /^(\d+)([a-z]+)$/.exec(text) ?? [];
  if (!(unit in units)) throw new Error(`not a time such as 2s: ${text}`);
  return Number(number) * units[unit];
}

const every = duration(flags.every);
const heartbeat = duration(flags.heartbeat);

/** The number of the event after that one, which may mean nothing. */
function after(lastEventId) {
  return /^\d{1,15}$/.test(lastEventId) ? Number(lastEventId) + 1 : 1;
}

// ANCHOR: better
const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  if (pathname !== "/events") return response.writeHead(404).end();
  if (request.method !== "GET") {
    return response.writeHead(405, { Allow: "GET" }).end();
  }
  const session = await createSession(request, response, {
    keepAlive: heartbeat,
    // Without it, data is JSON.
    serializer: String,
  });
  const gone = new AbortController();
  session.once("disconnected", () => gone.abort());
  try {
    for (let number = after(session.lastId); ; number += 1) {
      const greeting = `Hello! This is event ${number}`;
      session.push(greeting, "message", String(number));
      await sleep(every, undefined, { signal: gone.signal });
    }
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
});
// ANCHOR_END: better

const [, host, port] = /^(.*):(\d+)$/.exec(flags.addr) ?? [];
server.maxConnections = Number(flags["max-readers"]);
server.listen(Number(port), host, () => {
  const { address, port } = server.address();
  console.log(`Server running at http://${address}:${port}/events`);
});

function stop() {
  server.close();
  server.closeAllConnections();
}
process.once("SIGTERM", stop);
process.once("SIGINT", stop);
if (flags["until-stdin-closes"]) process.stdin.on("close", stop).resume();

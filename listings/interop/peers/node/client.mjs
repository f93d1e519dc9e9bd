// Reads a stream with npm's eventsource, with nothing around it.

import process from "node:process";
import { parseArgs } from "node:util";

import { EventSource } from "eventsource";

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    events: { type: "string", default: "Infinity" },
  },
});

let left = Number(flags.events);

function print(text, object) {
  const line = flags.json ? JSON.stringify(object) : text;
  if (line) process.stdout.write(`${line}\n`);
}

// An event goes to the listeners of its type. All types come by here.
class EverySource extends EventSource {
  dispatchEvent(event) {
    if (event instanceof MessageEvent) received(event);
    return super.dispatchEvent(event);
  }
}

const source = new EverySource(positionals[0]);

source.onopen = () => print("", { kind: "open" });

source.onerror = ({ code, message = "the stream ended" }) => {
  const closed = source.readyState === EventSource.CLOSED;
  if (code === 204) return;
  const word = closed ? "Closed" : "Error";
  print(`${word}: ${message}`, { kind: "error", closed, message });
  if (closed) process.exitCode = 1;
};

function received({ type, data, lastEventId: id }) {
  if (left <= 0) return;
  const named = type === "message" ? "" : ` (${type})`;
  const text = `Received event ${id}${named}: ${data}`;
  print(text, { kind: "event", type, data, id });
  left -= 1;
  if (left <= 0) source.close();
}

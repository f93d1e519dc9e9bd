// The client: npm's EventSource, in Node.js, printing what arrives.
//
//     node client.mjs [--json] [--events N] [--last-event-id ID]
//                     [--silence MS] [--until-stdin-closes] [URL]

import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import util from "node:util";

const OLDEST_NODE = 20;
/** In milliseconds; a timer that is set to more is over at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

const options = {
  json: { type: "boolean", default: false },
  events: { type: "string", default: "Infinity" },
  "last-event-id": { type: "string", default: "" },
  silence: { type: "string" },
  "until-stdin-closes": { type: "boolean", default: false },
};

let print = printText;

/** Ends the process once all is written; `error` says what went wrong. */
function leave(status, error) {
  if (error) print(error);
  process.stdout.write("", () => process.exit(status));
}

/** npm's EventSource, or else `undefined`: what is missing has been told. */
async function packages() {
  try {
    return await import("eventsource");
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    const folder = fileURLToPath(new URL(".", import.meta.url));
    const command = `npm ci --prefix ${path.relative("", folder) || "."}`;
    missing(`npm's eventsource is not installed: run ${command}`);
    return undefined;
  }
}

function missing(message) {
  leave(1, { kind: "missing", message });
}

// ANCHOR: listen
/** Opens the stream and prints what arrives. */
async function listen(url, { left, bounds, firstId }, { EventSource }) {
  // In a browser nobody hears of an event whose type they did not name. Here a
  // method can be overridden.
  class EverySource extends EventSource {
    dispatchEvent(event) {
      if (event instanceof MessageEvent) this.onevery(event);
      return super.dispatchEvent(event);
    }
  }

  const { Connections } = await import("./fetch.mjs");
  const note = (line) => print({ kind: "note", line });
  const connections = new Connections(note, bounds, firstId);
  const source = new EverySource(url, { fetch: connections.fetch });
  source.onopen = () => print({ kind: "open" });
  source.onevery = ({ type, data, lastEventId: id }) => {
    // Those that came together with the last one still come here.
    if (source.readyState === EventSource.CLOSED) return;
    connections.good();
    print({ kind: "event", type, data, id });
    left -= 1;
    if (left <= 0) {
      source.close();
      leave(0);
    }
  };
  source.onerror = ({ code, message = "the server ended the stream" }) => {
    if (connections.fatal) source.close();
    if (source.readyState !== EventSource.CLOSED) {
      message += "; reconnecting";
      print({ kind: "error", closed: false, message });
    } else if (code === 204) {
      leave(0);
    } else {
      message = connections.fatal ?? message;
      leave(1, { kind: "error", closed: true, message });
    }
  };
}
// ANCHOR_END: listen

/** One JSON object a line, for another program. */
function printJson(object) {
  process.stdout.write(`${JSON.stringify(object)}\n`);
}

/** Text, in the words of the other clients. */
function printText({ kind, line, type, data, id, closed = true, message }) {
  if (kind === "note") {
    process.stdout.write(`${visible(line)}\n`);
  } else if (kind === "event") {
    const which = id === "" ? "" : ` ${visible(id)}`;
    const what = type === "message" ? "" : ` (${visible(type)})`;
    const lines = data.split("\n").map(visible).join("\n    ");
    const text = `Received event${which}${what}: ${lines}`;
    process.stdout.write(`${text.trimEnd()}\n`);
  } else if (message && closed) {
    process.stderr.write(`client.mjs: ${visible(message)}\n`);
  } else if (message) {
    process.stdout.write(`Error: ${visible(message)}\n`);
  }
}

/**
 * Text with every character that drives a terminal written as an escape: the
 * C0 and C1 controls, and those that turn the direction of writing.
 */
function visible(text) {
  return text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    const short = { "\t": "\\t", "\r": "\\r", "\n": "\\n" }[character];
    return short ?? `\\u{${character.codePointAt(0).toString(16)}}`;
  });
}

// A reader that leaves, as `head` does, is no failure.
process.stdout.on("error", ({ code }) => {
  process.exit(code === "EPIPE" ? 0 : 1);
});

function given() {
  try {
    const parsed = util.parseArgs({ options, allowPositionals: true });
    const { values, positionals } = parsed;
    const { events, silence = "1" } = values;
    const isTime = Number(silence) >= 1 && Number(silence) <= LONGEST_TIMER;
    if (positionals.length <= 1 && Number(events) >= 1 && isTime) return parsed;
  } catch (error) {
    process.stderr.write(`client.mjs: ${error.message}\n`);
  }
  const flags = [
    "[--json] [--events N] [--last-event-id ID]",
    "[--silence MS] [--until-stdin-closes] [URL]",
  ];
  process.stderr.write(`usage: node client.mjs ${flags.join(" ")}\n`);
  return process.exit(2);
}

async function main() {
  const { values, positionals } = given();
  const [url = "http://127.0.0.1:9005/events"] = positionals;
  if (values["until-stdin-closes"]) {
    // Whoever started this holds the other end, and never writes.
    process.stdin.on("close", () => process.exit(0)).resume();
  }
  const found = await packages();
  if (found && URL.canParse(url) && /^https?:/.test(new URL(url).protocol)) {
    const bounds = values.silence && { silence: Number(values.silence) };
    const firstId = values["last-event-id"];
    const left = Number(values.events);
    await listen(url, { left, bounds, firstId }, found);
  } else if (found) {
    const message = `${url} is not a URL that starts with http:// or https://`;
    leave(1, { kind: "error", closed: true, message });
  }
}

// By hand and first of all: an old Node.js has no `util.parseArgs`.
if (process.argv.includes("--json")) print = printJson;
const { node } = process.versions;
if (Number(node.split(".")[0]) >= OLDEST_NODE) {
  await main();
} else {
  missing(`this is Node.js ${node}: install version ${OLDEST_NODE} or newer`);
}

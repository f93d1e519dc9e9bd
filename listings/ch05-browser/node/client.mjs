// The client: the page's `fetchEvents` in Node.js, printing what arrives.
//
//     node client.mjs [--json] [--events N] [--last-event-id ID]
//                     [--head-timeout TIME] [--idle-timeout TIME]
//                     [--retry-on STATUS,…] [--until-stdin-closes] [URL]

import { once } from "node:events";
import process from "node:process";
import util from "node:util";

import { fetchEvents } from "../page/fetch-source.js";
import { DRIVES, visible } from "../page/reconnection.js";
import { basic, fetchWith } from "./fetch.mjs";

const OLDEST_NODE = 20;
const DAY = 24 * 60 * 60 * 1000;

const options = {
  json: { type: "boolean", default: false },
  events: { type: "string", default: "Infinity" },
  "last-event-id": { type: "string", default: "" },
  "head-timeout": { type: "string", default: "30s" },
  "idle-timeout": { type: "string", default: "1m" },
  "retry-on": { type: "string", default: "" },
  "until-stdin-closes": { type: "boolean", default: false },
};

let toLine = textLine;

/** Writes a line, and waits while whoever reads is behind. */
async function print(object) {
  const line = toLine(object);
  const { closed, kind } = object;
  const isLast = toLine === textLine && (closed || kind === "missing");
  const out = isLast ? process.stderr : process.stdout;
  if (line !== null && !out.write(`${line}\n`)) await once(out, "drain");
}

/** Ends the process once all is written. */
function leave(status) {
  process.stdout.write("", () => process.exit(status));
}

// ANCHOR: listen
/** Reads the stream and prints what arrives, until there is no more. */
async function listen(url, left, limits) {
  const note = (line) => print({ kind: "note", line });
  const authorization = basic(url);
  Object.assign(url, { username: "", password: "" });
  const fetch = fetchWith({ note, authorization });
  const options = { ...limits, fetch, decodes: false };
  for await (const item of fetchEvents(url, options)) {
    const { kind, wait, error, unfinished } = item;
    if (kind === "open") {
      await print({ kind });
    } else if (kind === "event") {
      await print(item);
      left -= 1;
      if (left <= 0) return;
    } else if (kind === "lost") {
      const next = `; reconnecting in ${time(wait)}`;
      const message = `${why(error, unfinished)}${next}`;
      await print({ kind: "error", closed: false, message });
    }
  }
}
// ANCHOR_END: listen

/** How a connection came to its end, in the words of the other clients. */
function why(error, unfinished) {
  if (error === null) {
    const within = unfinished ? " within an event, which is dropped" : "";
    return `the server ended the stream${within}`;
  }
  // Several addresses were tried, each with an error of its own.
  const { code = "", message } = error.errors?.[0] ?? error;
  if (code.startsWith("HPE_")) {
    const what = message.replace(/^Parse Error: /, "");
    return `the response is malformed: ${what}`;
  }
  return WORDS[message] ?? message;
}

const WORDS = {
  aborted: "the stream was cut",
  "socket hang up": "the server closed before it answered",
};

function time(ms) {
  return ms < 1000 ? `${ms.toFixed(1)}ms` : `${(ms / 1000).toFixed(1)}s`;
}

/**
 * One JSON object, for another program. What drives a terminal is escaped;
 * that changes no value.
 */
function jsonLine(object) {
  return JSON.stringify(object).replace(DRIVES, (character) => {
    const units = character.split("").map((unit) => unit.charCodeAt(0));
    const escape = (unit) => `\\u${unit.toString(16).padStart(4, "0")}`;
    return units.map(escape).join("");
  });
}

/** Text, in the words of the other clients; null where they say nothing. */
function textLine({ kind, line, type, data, id, closed = true, message }) {
  if (kind === "note") return visible(line);
  if (kind === "open") return null;
  if (kind === "event") {
    const which = id === "" ? "" : ` ${visible(id)}`;
    const what = type === "message" ? "" : ` (${visible(type)})`;
    const lines = data.split("\n").map(visible).join("\n    ");
    const text = data === "" ? "" : ` ${lines}`;
    return `Received event${which}${what}:${text}`;
  }
  return `${closed ? "client.mjs" : "Error"}: ${visible(message)}`;
}

// A reader that leaves, as `head` does, is no failure.
process.stdout.on("error", ({ code }) => {
  process.exit(code === "EPIPE" ? 0 : 1);
});

/** A time such as `500ms`, `30s`, `1m` or `2h`, in ms; `0` is no limit. */
function milliseconds(text) {
  const [, number, unit] = /^([0-9]+)(ms|s|m|h)$/.exec(text) ?? [];
  const ms = number * { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[unit];
  if (text === "0") return 0;
  if (ms > 0 && ms <= DAY) return ms;
  throw new Error(`${text} is no time from 1ms to 24h, such as 30s, and not 0`);
}

function statuses(text) {
  const numbers = text === "" ? [] : text.split(",");
  if (numbers.every((it) => /^[45][0-9]{2}$/.test(it))) {
    return numbers.map(Number);
  }
  throw new Error(`${text} is no list of statuses from 400 to 599`);
}

function given() {
  try {
    const parsed = util.parseArgs({ options, allowPositionals: true });
    const { values, positionals } = parsed;
    const left = Number(values.events);
    const isCount = left >= 1 && (Number.isInteger(left) || left === Infinity);
    if (!isCount) throw new Error("--events is a number from 1");
    if (positionals.length > 1) throw new Error("one URL is enough");
    const limits = {
      lastEventId: values["last-event-id"],
      headTimeout: milliseconds(values["head-timeout"]),
      idleTimeout: milliseconds(values["idle-timeout"]),
      retryOn: statuses(values["retry-on"]),
    };
    return { values, positionals, left, limits };
  } catch (error) {
    process.stderr.write(`client.mjs: ${visible(error.message)}\n`);
  }
  const flags = [
    "[--json] [--events N] [--last-event-id ID]",
    "[--head-timeout TIME] [--idle-timeout TIME]",
    "[--retry-on STATUS,…] [--until-stdin-closes] [URL]",
  ];
  process.stderr.write(`usage: node client.mjs ${flags.join("\n  ")}\n`);
  return process.exit(2);
}

/** The URL; what is none may hold a password, and is then not repeated. */
function parsed(text) {
  try {
    const url = new URL(text);
    if (/^https?:$/.test(url.protocol)) return url;
  } catch {
    // As below.
  }
  const what = text.includes("@") ? "this" : text;
  throw new Error(`${what} is not a URL that starts with http:// or https://`);
}

async function main() {
  const { values, positionals, left, limits } = given();
  if (values["until-stdin-closes"]) {
    // Whoever started this holds the other end, and never writes.
    process.stdin.on("close", () => process.exit(0)).resume();
  }
  try {
    const [url = "http://127.0.0.1:9005/events"] = positionals;
    await listen(parsed(url), left, limits);
    leave(0);
  } catch (error) {
    const message = why(error);
    await print({ kind: "error", closed: true, message });
    leave(1);
  }
}

// By hand and first of all: an old Node.js has no `util.parseArgs`.
if (process.argv.includes("--json")) toLine = jsonLine;
const { node } = process.versions;
if (Number(node.split(".")[0]) >= OLDEST_NODE) {
  await main();
} else {
  const is = `this is Node.js ${node}`;
  const message = `${is}: install version ${OLDEST_NODE} or newer`;
  await print({ kind: "missing", message });
  leave(1);
}

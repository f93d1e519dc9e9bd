// What the page knows of its stream: the state of one EventSource, and what it
// has given. No DOM here, and no EventSource either: it is passed in.

import { Tail } from "./tail.js";

// What the servers of this book send.
export const TYPES = ["message", "fifth", "posted", "missed"];
// Where they listen.
export const PORTS = [9001, 9002, 9003, 9004, 9005];
// In ms: with a heartbeat every 15 seconds, as good as dead.
const SILENCE = 45_000;
const MAX_TYPES = 32;
const MAX_ROWS = 500;
// A row shows so much of its data and no more; of its type and its ID, this.
const MAX_SHOWN = 4_000;
const MAX_NAME = 200;

// ANCHOR: reader
export class Reader {
  state = "closed"; // "connecting", "open"
  // Closed by the other side: it answered, but not with a stream.
  wasRefused = false;
  events = 0;
  opened = 0;
  // That of the last event. An ID without an event is not shown to a page.
  lastEventId = "";
  // In ms: how long the stream was away when it last came back.
  wasAway = null;
  types = new Set(TYPES);
  #url = null;
  #goesOn = false;
  #source = null;
  #lostAt = null;
  #heardAt = 0;
  #watch = null;
  #EventSource;
  #tell;
  #now;
  #time;

  // `tell` is called after every change, with the row that came, if one did.
  constructor({
    EventSource = globalThis.EventSource,
    tell = () => {},
    now = () => performance.now(),
    // The time of day goes on while a machine sleeps.
    time = () => Date.now(),
    rows = MAX_ROWS,
  } = {}) {
    this.rows = new Tail(rows);
    this.#EventSource = EventSource;
    this.#tell = tell;
    this.#now = now;
    this.#time = time;
  }

  // `goesOn`: the server goes on behind the event that the URL names in
  // `lastEventId`. A new EventSource has no ID to send.
  connect(url, { goesOn = false } = {}) {
    this.rows.clear();
    Object.assign(this, { events: 0, opened: 0, lastEventId: "" });
    Object.assign(this, { wasRefused: false, wasAway: null });
    this.#lostAt = null;
    this.#url = url;
    this.#goesOn = goesOn;
    this.#open();
  }

  #open() {
    this.#source?.close();
    const url = new URL(this.#url);
    if (this.#goesOn && this.lastEventId !== "") {
      url.searchParams.set("lastEventId", this.lastEventId);
    }
    const source = new this.#EventSource(url);
    this.#source = source;
    source.addEventListener("open", (event) => this.#opened(event));
    source.addEventListener("error", (event) => this.#error(event));
    for (const type of this.types) {
      source.addEventListener(type, this.#event);
    }
    this.#become("connecting");
  }

  close() {
    clearTimeout(this.#watch);
    this.#source?.close();
    this.#source = null;
    this.#lostAt = null;
    this.#become("closed");
  }
  // ANCHOR_END: reader

  // ANCHOR: wake
  // To be called when the page comes to life again, or the network does. A
  // phone that sleeps ends its connections and may tell the page nothing of
  // it: the stream says that it is open, and is silent for good. What has been
  // silent for too long is opened anew; what has not is looked at later.
  wake() {
    clearTimeout(this.#watch);
    if (this.state !== "open") {
      return;
    }
    const left = SILENCE - (this.#time() - this.#heardAt);
    if (left > 0) {
      this.#watch = setTimeout(() => this.wake(), Math.min(left, SILENCE));
    } else {
      this.#lostAt ??= this.#now();
      this.#open();
    }
  }
  // ANCHOR_END: wake

  // An event whose type nobody listens to is not heard of.
  listen(type) {
    if (this.types.has(type) || this.types.size >= MAX_TYPES) {
      return false;
    }
    this.types.add(type);
    this.#source?.addEventListener(type, this.#event);
    return true;
  }

  // ANCHOR: states
  // A server may call an event `open` or `error`. It has data then; news of
  // the connection has none.
  #opened(event) {
    if (this.#isNews(event)) {
      this.#heardAt = this.#time();
      this.opened += 1;
      this.wasAway = this.away;
      this.#lostAt = null;
      this.#become("open");
    }
  }

  #error(event) {
    if (!this.#isNews(event)) {
      return;
    }
    if (this.#source.readyState === this.#EventSource.CLOSED) {
      // Final: a status other than 200, or no event stream.
      this.wasRefused = true;
      this.close();
    } else {
      // Each attempt that fails comes here; the first one counts.
      this.#lostAt ??= this.#now();
      this.#become("connecting");
    }
  }

  // In ms: how long there has been no stream; `null` if there is one.
  get away() {
    return this.#lostAt === null ? null : this.#now() - this.#lostAt;
  }

  #isNews(event) {
    return event.target === this.#source && !("data" in event);
  }
  // ANCHOR_END: states

  get reconnections() {
    return Math.max(this.opened - 1, 0);
  }

  #event = ({ type, data, lastEventId, target }) => {
    if (target !== this.#source || data === undefined) {
      return;
    }
    this.#heardAt = this.#time();
    this.events += 1;
    this.lastEventId = lastEventId;
    const row = {
      type: shortName(type),
      data: shorten(data, MAX_SHOWN),
      lastEventId: shortName(lastEventId),
      size: data.length,
    };
    this.rows.push(row);
    this.#tell(row);
  };

  #become(state) {
    this.state = state;
    this.#tell(null);
  }
}

// A slice of a string may keep all of it in memory; a clone does not.
function shorten(text, most) {
  return text.length > most ? structuredClone(text.slice(0, most)) : text;
}

// An ID stays until the next one: each event carries it, however long it is.
export function shortName(text) {
  const { length } = text;
  const short = shorten(text, MAX_NAME);
  return length > MAX_NAME ? `${short}… (${length} in all)` : text;
}

// The other name of this machine. To a browser it is another host: it counts
// the connections to each.
export function otherName(url) {
  const other = new URL(url);
  const isName = other.hostname === "localhost";
  other.hostname = isName ? "127.0.0.1" : "localhost";
  return other;
}

// By either name.
export function isSameServer(url, own) {
  return [url.origin, otherName(url).origin].includes(own.origin);
}

// What is read without being asked to: the page's own server, and those of the
// book. A link may name any source, and a local server may take a request from
// this machine for its owner's.
export function isTrusted(url, own) {
  return isSameServer(url, own) || PORTS.includes(Number(url.port));
}

// What may be read from: what the page's policy (`connect-src`) allows, which
// is its own origin and the loopback addresses. Throws an error with a message
// for the reader.
export function sourceUrl(text, base) {
  const own = new URL(base);
  let url;
  try {
    url = new URL(text.trim(), own);
  } catch {
    throw new TypeError("This is no address.");
  }
  const isOwn = url.protocol === own.protocol && url.host === own.host;
  const isLocal = ["127.0.0.1", "localhost"].includes(url.hostname);
  if (!isOwn && (url.protocol !== "http:" || !isLocal)) {
    throw new TypeError(
      "This page reads from this machine only: " +
        "http://127.0.0.1:PORT/… or http://localhost:PORT/…",
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw new TypeError("An address with a user name or password is not read.");
  }
  url.hash = "";
  return url;
}

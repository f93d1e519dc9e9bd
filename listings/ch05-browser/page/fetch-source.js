// An event stream read with `fetch`, for what `EventSource` cannot do: any
// method, header fields and body; why a connection was refused; comments, the
// reconnection time and the bytes themselves; an end to silence.

import { Decoder } from "./decode.js";

// ANCHOR: fetch
// Gives what happens, in order, and connects again until the server answers
// 204, or refuses (an error is thrown), or `signal` is aborted:
//
//   { kind: "open" }          a connection is there
//   { kind: "bytes", bytes }  a chunk, before the items that it completes
//   { kind: "event", … }      an item of the decoder's, as its others
//   { kind: "lost", wait, error }  over; the next connection in `wait` ms
//
// Other options are those of `fetch`. A request that does something is not
// sent twice, unless `reconnect` says so; its body must then be no stream.
// Only `signal` ends a wait for bytes: a generator's `return` takes its turn
// behind it, and its `throw` is taken for a connection that failed.
export async function* fetchEvents(url, options = {}) {
  const {
    signal: given,
    reconnect = (options.method ?? "GET").toUpperCase() === "GET",
    lastEventId: from,
    // Elsewhere this field needs a preflight; an EventSource's does not.
    sendLastEventId = true,
    // In ms: three heartbeats of this book's servers.
    idle = 45_000,
    maxBuffer,
    fetch = globalThis.fetch,
    ...init
  } = options;
  // Both may also be null.
  const signal = given ?? new AbortController().signal;
  const rules = new Reconnection(from ?? "");
  checkRequest(url, { ...init, signal });
  const headers = new Headers(init.headers);
  headers.set("Accept", "text/event-stream");
  while (!signal.aborted) {
    const hangUp = new AbortController();
    let lost = null;
    try {
      if (sendLastEventId) {
        setLastEventId(headers, rules.lastEventId);
      }
      const either = AbortSignal.any([signal, hangUp.signal]);
      const request = { cache: "no-store", ...init, headers, signal: either };
      const response = await within(idle, hangUp, fetch(url, request));
      if (response.status === 204) {
        return;
      }
      check(response);
      signal.throwIfAborted();
      rules.open();
      yield { kind: "open" };
      const { lastEventId } = rules;
      const decoder = new Decoder({ lastEventId, maxBuffer });
      for await (const item of read(response.body, decoder, idle, hangUp)) {
        // The items of a chunk that is here do not end with the connection.
        signal.throwIfAborted();
        rules.note(item);
        yield item;
      }
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      // A decoder's limit is final, like a refusal.
      const final = error instanceof Refused || error instanceof RangeError;
      if (final || !reconnect) {
        throw error;
      }
      lost = error;
    } finally {
      // However it ended, also by the caller's `break`.
      hangUp.abort();
    }
    if (!reconnect || signal.aborted) {
      return;
    }
    const wait = rules.lost();
    yield { kind: "lost", wait, error: lost };
    await sleep(wait, signal);
  }
}
// ANCHOR_END: fetch

// ANCHOR: read
async function* read(body, decoder, idle, hangUp) {
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await within(idle, hangUp, reader.read());
    if (done) {
      return;
    }
    yield { kind: "bytes", bytes: value };
    yield* decoder.decode(value);
    // Throws what the decoder has kept back, until those were given.
    decoder.decode(new Uint8Array());
  }
}

// A peer that vanished sends nothing, not even an end. Only waiting counts, not
// what the caller does between two chunks.
async function within(idle, hangUp, promise) {
  const silent = new Error(`Nothing came for ${idle / 1000} s.`);
  const timer = setTimeout(() => hangUp.abort(silent), Math.min(idle, LONGEST));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}
// ANCHOR_END: read

// The server said no; to ask again is not the client's to decide.
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.name = "Refused";
    this.status = status;
  }
}

// Throws for a wrong URL or option. In the loop it would look like a network
// that is gone, and be tried for ever.
function checkRequest(url, init) {
  // The headers of this request are of no use: a form's have its boundary.
  const { protocol } = new URL(new Request(url, init).url);
  if (!/^https?:$/.test(protocol)) {
    throw new TypeError(`There are no streams at ${protocol}`);
  }
  if (url instanceof Request) {
    throw new TypeError("A Request can be sent once: give its URL instead.");
  }
}

function check({ status, headers }) {
  if (status !== 200) {
    throw new Refused(`The server answered ${status}, not 200.`, status);
  }
  const type = headers.get("Content-Type") ?? "";
  const essence = type.split(";")[0].trim().toLowerCase();
  if (essence !== "text/event-stream") {
    const is = `The Content-Type is "${type}"`;
    throw new Refused(`${is}, not "text/event-stream".`, status);
  }
}

// An ID may be good for the stream and not for HTTP, which strips blanks at
// the ends and forbids controls; and one of more than 4 KiB might lock its
// reader out.
export function canBeSent(id) {
  const isValue = /^(?![ \t])[^\0-\x08\x0a-\x1f\x7f]+(?<![ \t])$/.test(id);
  return isValue && new TextEncoder().encode(id).length <= 4 * 1024;
}

function setLastEventId(headers, id) {
  if (canBeSent(id)) {
    // A header's value is bytes, which `fetch` takes as one char each.
    const bytes = Array.from(new TextEncoder().encode(id));
    const chars = bytes.map((byte) => String.fromCharCode(byte));
    headers.set("Last-Event-ID", chars.join(""));
  } else {
    headers.delete("Last-Event-ID");
  }
}

// A server may ask for no wait and end after each event, which is no failure:
// that would be a loop without a pause. A longer `setTimeout` ends at once.
const [SHORTEST, LONGEST] = [100, 2 ** 31 - 1];

// The rules of "Coming back": the reconnection time first; then, with each
// failure in a row, a draw from twice as much. All times are in ms.
class Reconnection {
  #time = 3_000;
  #failures = 0;
  #opened = Infinity;

  constructor(lastEventId) {
    this.lastEventId = lastEventId;
  }

  open() {
    this.#opened = performance.now();
  }

  note(item) {
    if (item.kind === "retry") {
      this.#time = Math.min(Math.max(item.ms, SHORTEST), LONGEST);
    } else if (item.kind === "event" || item.kind === "id") {
      this.lastEventId = item.id;
      this.#failures = item.kind === "event" ? 0 : this.#failures;
    }
  }

  lost() {
    const isGood = performance.now() - this.#opened >= 30_000;
    this.#opened = Infinity;
    this.#failures = isGood ? 1 : this.#failures + 1;
    if (this.#failures === 1) {
      return this.#time;
    }
    const doubled = Math.max(this.#time, 1_000) * 2 ** (this.#failures - 1);
    const beyond = Math.max(Math.min(doubled, 30_000) - this.#time, 0);
    return this.#time + beyond * Math.random();
  }
}

// Ends early, and without an error, when `signal` is aborted.
function sleep(ms, signal) {
  return new Promise((resolve) => {
    // One that is aborted by now tells nobody any more.
    const timer = setTimeout(end, signal.aborted ? 0 : ms);
    function end() {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    }
    signal.addEventListener("abort", end);
  });
}

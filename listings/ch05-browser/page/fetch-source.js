// An event stream read with `fetch`, for what `EventSource` cannot do: any
// method, header fields and body; why a connection was refused; comments, the
// reconnection time and the bytes themselves; an end to silence.

import { Decoder } from "./decode.js";
import { LONGEST, Reconnection, Refused } from "./reconnection.js";
import { elements, judge, retryAfter } from "./reconnection.js";

export { Refused };

// Those of `fetch`, and these. All times are in ms.
const DEFAULTS = {
  // Whether to connect again. A request that does something is not sent twice
  // unless this says so; its body must then be no stream.
  reconnect: undefined,
  lastEventId: "",
  // Elsewhere this field needs a preflight; an EventSource's does not.
  sendLastEventId: true,
  // A function is asked before each connection: `headers(lastEventId)`, also
  // an async one.
  headers: undefined,
  // For the head of a response, and from one chunk to the next; 0: no limit.
  headTimeout: 30_000,
  idleTimeout: 60_000,
  // The bounds of what a server sets in `retry` and `Retry-After`: see
  // `reconnection.js`.
  minWait: undefined,
  maxWait: undefined,
  // Statuses to come back from, such as [429, 502, 503, 504]. By the standard
  // each is final.
  retryOn: [],
  // What an event may hold: see `decode.js`.
  maxBuffer: undefined,
  // What is called in `fetch`'s place, and whether it takes content codings
  // off, as browsers and Node.js do.
  fetch: undefined,
  decodes: true,
};

// ANCHOR: fetch
// Gives what happens, in order, and connects again until the server answers
// 204, or refuses (an error is thrown), or `signal` is aborted:
//
//   { kind: "open" }              a connection is there
//   { kind: "bytes", bytes }      a chunk, before the items that it completes
//   { kind: "event", … }          an item of the decoder's, as its others
//   { kind: "lost", wait, error, unfinished }
//                                 over; the next connection comes in `wait` ms
//   { kind: "end", unfinished }   over, and there is no next
//
// `error` is null where the response ended in order; `unfinished` says that an
// event had begun, which is dropped. Only `signal` ends a wait: a generator's
// `return` takes its turn behind it.
export async function* fetchEvents(url, options = {}) {
  const given = Object.entries(options).filter(([, value]) => value != null);
  const its = { ...DEFAULTS, ...Object.fromEntries(given) };
  const isGet = (its.method ?? "GET").toUpperCase() === "GET";
  const { reconnect = isGet, signal = new AbortController().signal } = its;
  const rules = new Reconnection(its);
  checkRequest(url, its, signal);
  while (!signal.aborted) {
    const connection = new Connection(signal);
    let [error, unfinished, asked, isGood] = [null, false, 0, false];
    try {
      const response = await ask(url, its, isGet, rules, connection);
      if (response.status === 204) {
        return;
      }
      const failure = judge(response, its.decodes);
      if (failure === null) {
        rules.open(performance.now());
        yield { kind: "open" };
        const decoder = new Decoder({ ...its, lastEventId: rules.lastEventId });
        const items = read(response.body, decoder, its.idleTimeout, connection);
        for await (const item of items) {
          // The items of a chunk that is here do not end with the connection.
          signal.throwIfAborted();
          isGood ||= item.kind !== "bytes";
          rules.note(item);
          yield item;
        }
        unfinished = decoder.isUnfinished;
      } else {
        error = await refusal(failure, response, connection);
        if (!reconnect || !its.retryOn.includes(response.status)) {
          throw error;
        }
        asked = rules.withinBounds(error.retryAfter ?? 0);
      }
    } catch (thrown) {
      if (signal.aborted) {
        return;
      }
      // A refusal, an event that is too large, a mistake in a program: it
      // would be there the next time, too.
      if (!(thrown instanceof Lost)) {
        throw thrown;
      }
      error = thrown.cause;
      // A framing that was good and broke may be good again.
      if (!reconnect || (isLasting(error) && !isGood)) {
        throw error;
      }
    } finally {
      // However it ended, also by the caller's `break`.
      connection.close();
    }
    if (!reconnect) {
      yield { kind: "end", unfinished };
      return;
    }
    const now = performance.now();
    const wait = error === null ? rules.ended(now) : rules.lost(now);
    const longer = Math.max(wait, asked);
    yield { kind: "lost", wait: longer, error, unfinished };
    await sleep(longer, signal);
  }
}
// ANCHOR_END: fetch

// ANCHOR: ask
// Sends the request, and gives its response.
async function ask(url, its, isGet, rules, connection) {
  const { headers: own, headTimeout, lastEventId, redirect, ...init } = its;
  const hasTold = typeof own === "function" ? own(rules.lastEventId) : own;
  const late = [headTimeout, "no response came in time"];
  const headers = new Headers(await connection.within(...late, hasTold));
  // A redirect may lead to anybody. A request that does something, and what
  // the caller adds to one, goes there only if the caller says so.
  const isBare = isGet && [...headers].length === 0;
  const follows = redirect === undefined ? isBare : redirect === "follow";
  headers.set("Accept", completed(headers.get("Accept")));
  if (its.sendLastEventId) {
    setLastEventId(headers, rules.lastEventId);
  }
  const { signal } = connection;
  const request = { cache: "no-store", ...init, headers, signal };
  request.redirect = follows ? "follow" : "manual";
  const call = its.fetch ?? globalThis.fetch;
  // Only what comes from here is the network's. A browser says the same of a
  // server that is gone and of one that does not allow this page to read it:
  // both are asked again.
  const response = call(url, request).catch(lost);
  const { type, status } = await connection.within(...late, response);
  const isRedirect = type === "opaqueredirect" || REDIRECTS.includes(status);
  if (isRedirect && !follows) {
    const why = 'which it follows only with redirect: "follow"';
    throw new Refused(`the server redirects this request, ${why}`, { status });
  }
  return response;
}
// ANCHOR_END: ask

const REDIRECTS = [301, 302, 303, 307, 308];

// ANCHOR: read
async function* read(body, decoder, idleTimeout, connection) {
  const late = [idleTimeout, "nothing came in time"];
  const reader = body?.getReader();
  while (reader) {
    const next = reader.read().catch(lost);
    const { done, value } = await connection.within(...late, next);
    if (done) {
      return;
    }
    yield { kind: "bytes", bytes: value };
    yield* decoder.decode(value);
    // Throws what the decoder has kept back, until those were given.
    decoder.decode(new Uint8Array());
  }
}

// One connection, and an end to it.
class Connection {
  #hangUp = new AbortController();
  #given;
  #abort = () => this.#hangUp.abort(this.#given.reason);

  constructor(given) {
    this.#given = given;
    given.addEventListener("abort", this.#abort);
  }

  get signal() {
    return this.#hangUp.signal;
  }

  close() {
    this.#given.removeEventListener("abort", this.#abort);
    this.#hangUp.abort();
  }

  // What the promise gives, unless it takes longer than `ms`, or the caller
  // has had enough. A peer that vanished sends nothing, not even an end. Only
  // waiting counts, not what the caller does between two chunks.
  async within(ms, why, promise) {
    const { signal } = this;
    let end;
    const over = new Promise((_, reject) => {
      end = () => reject(signal.reason);
      signal.addEventListener("abort", end);
    });
    const late = () => this.#hangUp.abort(new Lost(new Error(why)));
    const timer = ms > 0 && setTimeout(late, Math.min(ms, LONGEST));
    try {
      if (signal.aborted) {
        end();
      }
      return await Promise.race([promise, over]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
    }
  }
}
// ANCHOR_END: read

// The network's fault, which time may mend: its `cause`.
class Lost extends Error {
  constructor(cause) {
    super(cause.message, { cause });
  }
}

// What `fetch` or its body was rejected with. That it is a TypeError says
// nothing: that is what browsers throw for a network that is gone.
function lost(error) {
  const mistakes = [Lost, Refused, RangeError, ReferenceError, SyntaxError];
  throw mistakes.some((it) => error instanceof it) ? error : new Lost(error);
}

// Node.js says what it was: a head or a framing that its parser refuses, a
// certificate that is wrong, an argument would be there the next time. A name
// that does not resolve, a connection that is refused or breaks, a certificate
// that is late may be better then.
function isLasting(error) {
  return LASTING.test((error.cause ?? error).code ?? "");
}

const LASTING = new RegExp(
  "^(HPE_(?!INVALID_EOF)|ERR_INVALID_|UND_ERR_(INVALID|HEADERS_OVER)|" +
    "ERR_TLS_CERT_|CERT_(?!HAS_EXP|NOT_YET)|UNABLE_TO_|DEPTH_ZERO_|SELF_SIG)",
);

// With the first of what the response says: 1 KiB, and what comes in time.
async function refusal(failure, { status, headers, body }, connection) {
  const kept = [];
  const most = 1_024;
  // With such a status servers say why. The body of another is for no person.
  const reader = status >= 400 ? body?.getReader() : null;
  const first = async () => {
    while (reader && kept.length < most) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      kept.push(...value.subarray(0, most - kept.length));
    }
  };
  // A body that breaks or is slow is worth what came of it.
  await connection.within(5_000, "", first()).catch(() => {});
  // A character that the cut went through is not worth a U+FFFD.
  const bytes = Uint8Array.from(kept);
  const said = new TextDecoder().decode(bytes, { stream: true });
  const asked = status === 200 ? null : retryAfter(headers);
  return new Refused(failure, { status, retryAfter: asked, body: said });
}

// Throws for a wrong URL or option, and does not repeat a password.
function checkRequest(url, { headers, ...init }, signal) {
  if (url instanceof Request) {
    throw new TypeError("A Request can be sent once: give its URL instead.");
  }
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  let whole;
  try {
    whole = new URL(url, base);
  } catch {
    throw new TypeError("This is no URL.");
  }
  const { protocol, username, password } = whole;
  if (!/^https?:$/.test(protocol)) {
    throw new TypeError(`There are no streams at ${protocol}`);
  }
  if (username !== "" || password !== "") {
    throw new TypeError(
      "A URL with a user name or a password is not requested: say it in " +
        "headers.Authorization.",
    );
  }
  new Request(url, { ...init, signal });
}

// The caller's `Accept`, with what this reads: MCP wants both.
function completed(accept) {
  const types = elements(accept).filter(Boolean);
  const isIn = types.some((it) => /^text\/event-stream *(;|$)/i.test(it));
  return (isIn ? types : [...types, "text/event-stream"]).join(", ");
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

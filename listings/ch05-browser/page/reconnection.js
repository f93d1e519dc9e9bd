// When to connect again and when to stop, as the crate `text-event-stream` has it.
// No I/O, no timers and no imports: this file can be copied. All times are in
// ms.

// What a server sets in `retry` or `Retry-After` is kept within these. With
// `retry: 0` and a stream that ends after each event, a client would connect
// hundreds of times a second; a number that was meant in other units, or that
// overflowed somewhere, must not silence it for good.
export const MIN_WAIT = 500;
export const MAX_WAIT = 60 * 60 * 1_000;
// A longer `setTimeout` fires at once.
export const LONGEST = 2 ** 31 - 1;

const DEFAULT_TIME = 3_000;
const MAX_BACK_OFF = 30_000;
// What stays open for so long is good.
const GOOD_AFTER = DEFAULT_TIME;

// The rules of "Coming back": the reconnection time first; then, with each
// failure in a row, a draw from twice as much.
export class Reconnection {
  #time = DEFAULT_TIME;
  #least;
  #most;
  #failures = 0;
  #opened = null;
  #hasSpoken = false;

  constructor({ lastEventId, minWait = MIN_WAIT, maxWait = MAX_WAIT }) {
    // What the next request sends.
    this.lastEventId = lastEventId;
    this.#least = Math.min(minWait, LONGEST);
    this.#most = Math.min(Math.max(minWait, maxWait), LONGEST);
    this.#time = this.withinBounds(this.#time);
  }

  withinBounds(ms) {
    return Math.min(Math.max(ms, this.#least), this.#most);
  }

  // An event stream came, at `now` on the caller's clock.
  open(now) {
    this.#opened = now;
    this.#hasSpoken = false;
  }

  // An item of the decoder's came.
  note(item) {
    this.#hasSpoken ||= item.kind !== "bytes";
    if (item.kind === "retry") {
      this.#time = this.withinBounds(item.ms);
    } else if (item.kind === "event" || item.kind === "id") {
      this.lastEventId = item.id;
      this.#failures = item.kind === "event" ? 0 : this.#failures;
    }
  }

  // The response ended as its framing says. Where anything came with it, a
  // comment included, that is no failure: many servers and proxies end a quiet
  // stream now and then. Returns how long to wait.
  ended(now) {
    if (this.#opened !== null && this.#hasSpoken) {
      this.#failures = 0;
    }
    return this.lost(now);
  }

  // The connection broke, or could not be made. Returns how long to wait.
  lost(now) {
    if (this.#opened !== null && now - this.#opened >= GOOD_AFTER) {
      this.#failures = 0;
    }
    this.#opened = null;
    this.#failures += 1;
    if (this.#failures === 1) {
      return this.#time;
    }
    const doubled = Math.max(this.#time, 1_000) * 2 ** (this.#failures - 1);
    const beyond = Math.max(Math.min(doubled, MAX_BACK_OFF) - this.#time, 0);
    return this.#time + beyond * Math.random();
  }
}

// The server said no; to ask again is not the client's to decide. `status` is
// the response's; `retryAfter` how long the server asks to be left alone, or
// null; `body` the first 1 KiB of what it says: the server's word, as it came.
// The message has it on one line and escaped.
export class Refused extends Error {
  constructor(message, { status, retryAfter = null, body = "" } = {}) {
    const said = visible(
      body.trim().replaceAll("\n", " ").replaceAll("\r", ""),
    );
    super(said === "" ? message : `${message}; it says: ${said}`);
    this.name = "Refused";
    Object.assign(this, { status, retryAfter, body });
  }
}

// Why a response is no event stream, or null if it is one. `headers` has the
// `get` of a `Headers`. `decodes` says that content codings are taken off the
// body before it is read here.
export function judge({ status, headers }, decodes) {
  const quoted = JSON.stringify;
  if (status !== 200) {
    const asked = retryAfter(headers);
    const asks = asked === null ? "" : `, and Retry-After: ${asked / 1_000}s`;
    return `the server answered with status ${status}, not 200${asks}`;
  }
  // Some servers name it twice, and mean it once. `identity` is what old ones
  // call none.
  const transfer = elements(headers.get("Transfer-Encoding")).filter(Boolean);
  const isAll = (name) => transfer.every((it) => it.toLowerCase() === name);
  if (!isAll("chunked") && !isAll("identity")) {
    const is = `the Transfer-Encoding is ${quoted(transfer.join(", "))}`;
    return `${is}; only "chunked" can be read`;
  }
  // Fetch, "extract a MIME type": the last of them that is one.
  const type = headers.get("Content-Type") ?? "";
  const essence = elements(type).map(essenceOf).filter(Boolean).at(-1);
  if (essence !== "text/event-stream") {
    return `the Content-Type is ${quoted(type)}, not "text/event-stream"`;
  }
  // `none` is no coding that HTTP knows: some servers say it to keep a
  // compressing proxy off, and mean what it says.
  const coding = elements(headers.get("Content-Encoding")).find(
    (it) => !["", "identity", "none"].includes(it.toLowerCase()),
  );
  return coding === undefined || decodes
    ? null
    : `the body has the content coding ${quoted(coding)}, which was not ` +
        "asked for";
}

// The elements of a list, less the blanks around them. A comma in a quoted
// string parts nothing.
export function elements(list) {
  const matches = (list ?? "").matchAll(ELEMENT);
  return Array.from(matches, ([text]) => text.replace(BLANKS, ""));
}

const ELEMENT = /(?:"(?:\\[^]|[^"\\])*"?|[^,"])+|(?<=^|,)/g;

const BLANKS = /^[ \t]+|[ \t]+$/g;

// A MIME type without its parameters, in lower case; "" if it is none, or
// `*/*`, which Fetch passes over.
function essenceOf(type) {
  const essence = type.split(";")[0].replace(BLANKS, "");
  const isType = /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+$/.test(essence);
  return isType && essence !== "*/*" ? essence.toLowerCase() : "";
}

// `Retry-After` in ms: seconds, or a date, which is held against the
// response's own, so that the clocks need not agree. To a page of another
// origin a browser shows neither, unless `Access-Control-Expose-Headers` names
// them.
export function retryAfter(headers) {
  const value = headers.get("Retry-After") ?? "";
  if (/^[0-9]+$/.test(value)) {
    return Number(value) * 1_000;
  }
  const between = date(value) - date(headers.get("Date") ?? "");
  return Number.isNaN(between) ? null : Math.max(between, 0);
}

// A date as servers must write it, such as `Sun, 06 Nov 1994 08:49:37 GMT`.
function date(text) {
  const day = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} /;
  const isDate = day.test(text) && / \d\d:\d\d:\d\d GMT$/.test(text);
  return isDate && text.length === 29 ? Date.parse(text) : NaN;
}

// What drives a terminal, or hides in it: the C0 and C1 controls, the ends of
// lines and paragraphs, the marks that turn the direction of writing, what has
// no width. Joiners stay: Persian and emoji need them.
export const DRIVES = new RegExp(
  "[\\p{Cc}\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f" +
    "\\ufeff\\ufff9-\\ufffb\\u{e0000}-\\u{e0fff}]",
  "gu",
);

// Text with each of these written as an escape.
export function visible(text) {
  return text.replace(DRIVES, (character) => {
    const short = { "\t": "\\t", "\r": "\\r", "\n": "\\n" }[character];
    return short ?? `\\u{${character.codePointAt(0).toString(16)}}`;
  });
}

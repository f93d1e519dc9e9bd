// The fetch that EventSource is given: it shows what EventSource keeps to
// itself, and bounds what EventSource lets grow.

/** The bounds of a {@link Connections}. */
export const BOUNDS = {
  // What one event may take, in bytes: as much as in the other clients.
  event: 16 * 1024 * 1024,
  // How long a server may be silent, in milliseconds. One that sends a
  // heartbeat every 15 seconds has missed four.
  silence: 60_000,
  // The most that failing again and again adds to the reconnection time.
  backOff: 30_000,
  // The longest last event ID that is sent, in bytes. Servers limit the head
  // of a request, and one that refuses the ID it gave would lock this client
  // out for good.
  id: 4 * 1024,
};

/** The connections of one EventSource, one after another. */
export class Connections {
  /** Why there must not be another, once that is so. */
  fatal;
  #failures = 0;
  #bounds;
  #note;
  #firstId;

  /**
   * `note` is given each line that tells what happens. `firstId` is the ID of
   * the event to go on from, until EventSource has one itself.
   */
  constructor(note, bounds = {}, firstId = "") {
    this.#note = note;
    this.#bounds = { ...BOUNDS, ...bounds };
    this.#firstId = firstId;
  }

  /** An event came: the next failure is the first again. */
  good() {
    this.#failures = 0;
  }

  /** For the option `fetch` of an EventSource. */
  fetch = async (url, { headers, signal, ...init }) => {
    await this.#backOff(signal);
    // EventSource cannot be told where to begin. Once it has had an ID, to have
    // none is its own word.
    if (headers["Last-Event-ID"] !== undefined) this.#firstId = "";
    headers = { "Last-Event-ID": this.#firstId, ...headers };
    headers = sendable(headers, this.#bounds.id);
    this.#note(`Connecting to ${url}`);
    this.#head(`GET ${url.pathname}${url.search} HTTP/1.1`, headers);

    const cut = new AbortController();
    signal.addEventListener("abort", () => cut.abort(signal.reason));
    const silent = () => cut.abort(new Error("nothing came in time"));
    const timer = setTimeout(silent, this.#bounds.silence).unref();
    const over = (error) => {
      clearTimeout(timer);
      // fetch says "fetch failed"; its cause says what did.
      throw error.cause ?? error;
    };
    const response = await fetch(url, { ...init, headers, signal: cut.signal })
      .catch(over);
    const { status, statusText, redirected } = response;
    this.#head(`HTTP/1.1 ${status} ${statusText}`, response.headers);

    const reader = response.body?.getReader();
    const size = new EventSize();
    const read = async () => {
      const piece = await reader.read().catch(over);
      if (piece.done) clearTimeout(timer);
      else timer.refresh();
      if (size.after(piece.value) > this.#bounds.event) {
        this.fatal = `an event is larger than ${this.#bounds.event} bytes`;
        cut.abort();
        over(new Error(this.fatal));
      }
      return piece;
    };
    return {
      status,
      redirected,
      url: response.url,
      headers: { get: (name) => essence(response.headers.get(name)) },
      body: { getReader: () => ({ read }) },
    };
  };

  /**
   * Waits, from the second failure in a row on, before EventSource's next try:
   * a random time whose bound doubles, so that a server that comes back is not
   * met by all its readers at once. EventSource has waited its reconnection
   * time already.
   */
  async #backOff(signal) {
    this.#failures += 1;
    const doublings = this.#failures - 2;
    if (doublings > 0) {
      const bound = Math.min(this.#bounds.backOff, 1000 * 2 ** doublings);
      await new Promise((done) => setTimeout(done, bound * Math.random()));
      signal.throwIfAborted();
    }
  }

  #head(start, fields) {
    this.#note(start);
    new Headers(fields).forEach((value, name) => {
      this.#note(`${name}: ${value}`);
    });
    this.#note("");
  }
}

/**
 * The request's fields, with the last event ID as UTF-8 (WHATWG HTML 9.2.3):
 * fetch takes a character for a byte and refuses one past U+00FF. An ID that no
 * field can carry stays at home.
 */
function sendable({ "Last-Event-ID": id = "", ...fields }, maxId) {
  const bytes = Buffer.from(id);
  const carried = /^(?![ \t])[^\0-\x08\n-\x1f\x7f]+(?<![ \t])$/.test(id);
  if (carried && bytes.length <= maxId) {
    fields["Last-Event-ID"] = bytes.toString("latin1");
  }
  return fields;
}

/**
 * A media type without its parameters, in lower case: EventSource looks only
 * at how the type begins, and minds its case.
 */
function essence(type) {
  const [essence] = (type ?? "").split(";");
  return essence.trim().toLowerCase() === "text/event-stream"
    ? "text/event-stream"
    : "";
}

/**
 * How many bytes came since the last blank line. A comment is no part of an
 * event: it counts only until its line is over.
 */
class EventSize {
  #size = 0;
  #line = 0;
  #isComment = false;
  #cr = false;

  /** The size after these bytes. */
  after(bytes = []) {
    for (const byte of bytes) {
      const lf = byte === 0x0a;
      if (lf && this.#cr) {
        // The second half of a line end.
        this.#cr = false;
        continue;
      }
      this.#cr = byte === 0x0d;
      if (lf || this.#cr) {
        if (this.#line === 0) this.#size = 0;
        else if (this.#isComment) this.#size -= this.#line;
        this.#line = 0;
      } else {
        if (this.#line === 0) this.#isComment = byte === 0x3a;
        this.#line += 1;
        this.#size += 1;
      }
    }
    return this.#size;
  }
}

// An event stream, from bytes in pieces to items: WHATWG HTML 9.2.5, 9.2.6.
// No imports: this file can be copied.

// ANCHOR: decode
const LINE_END = /\r\n?|\n/g;

// Decodes one stream; the next connection gets a new decoder, told the ID that
// the last one ended with. `maxBuffer` bounds what one event may hold, in
// UTF-16 code units, which is what `length` counts.
export class Decoder {
  // Keeps the beginning of a character for the next chunk, makes U+FFFD of
  // what is no UTF-8, and takes one BOM off the front.
  #utf8 = new TextDecoder();
  #afterCr = false;
  #line = "";
  #type = "";
  #data = null;
  #idBuffer = null;
  #inBlock = false;
  #error = null;
  #maxBuffer;

  constructor({ lastEventId = "", maxBuffer = 16 * 1024 * 1024 } = {}) {
    // What a reconnection sends. A block that is unfinished has not set it.
    this.lastEventId = lastEventId;
    this.#maxBuffer = maxBuffer;
  }

  // The items that this chunk completes. Throws a RangeError for an event that
  // is too large, once all items before it have been returned: by the next
  // call, which may be one with an empty chunk.
  decode(chunk) {
    const items = [];
    const text = this.#utf8.decode(chunk, { stream: true });
    let from = 0;
    if (this.#afterCr && text !== "") {
      this.#afterCr = false;
      from = text[0] === "\n" ? 1 : 0;
    }
    // Each character is looked at once, however the stream is cut. To search
    // the unfinished line again with each chunk would take quadratic time.
    for (const { 0: end, index } of text.matchAll(LINE_END)) {
      if (index < from) {
        continue;
      }
      if (!this.#extend(text.slice(from, index))) {
        break;
      }
      from = index + end.length;
      // A lone CR ends its line at once: there may be nothing to wait for.
      this.#afterCr = end === "\r" && from === text.length;
      const line = this.#line;
      this.#line = "";
      const item = line === "" ? this.#dispatch() : this.#field(line);
      if (item) {
        items.push(item);
      }
    }
    if (!this.#extend(text.slice(from)) && items.length === 0) {
      throw this.#error;
    }
    return items;
  }
  // ANCHOR_END: decode

  // Whether an event has begun that no blank line has ended: to be asked when
  // the stream has. The standard drops such an event.
  get isUnfinished() {
    const isLine = this.#line !== "" && !this.#line.startsWith(":");
    return isLine || this.#inBlock;
  }

  // ANCHOR: field
  #field(line) {
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) {
      value = value.slice(1);
    }
    if (colon === 0) {
      return { kind: "comment", text: value };
    }
    if (name === "retry") {
      // The standard has no limit; 64 bits are what this book's crate keeps.
      const ms = Math.min(Number(value), 2 ** 64);
      return /^[0-9]+$/.test(value) ? { kind: "retry", ms } : null;
    }
    if (name === "data") {
      this.#data = this.#data === null ? value : `${this.#data}\n${value}`;
    } else if (name === "event") {
      this.#type = value;
    } else if (name === "id" && !value.includes("\0")) {
      this.#idBuffer = value;
    } else {
      return null;
    }
    this.#inBlock = true;
    return null;
  }

  // The blank line. It makes the ID buffer the last event ID, data or not;
  // only data makes an event; and the type is gone either way.
  #dispatch() {
    const [type, data, id] = [this.#type, this.#data, this.#idBuffer];
    this.#type = "";
    this.#data = null;
    this.#idBuffer = null;
    this.#inBlock = false;
    this.lastEventId = id ?? this.lastEventId;
    if (data !== null) {
      const event = { type: type || "message", data, id: this.lastEventId };
      return { kind: "event", ...event };
    }
    return id === null ? null : { kind: "id", id };
  }
  // ANCHOR_END: field

  #extend(piece) {
    const event = [this.#type, this.#data ?? "", this.#idBuffer ?? ""];
    const held = event.reduce((sum, text) => sum + text.length, 0);
    if (held + this.#line.length + piece.length > this.#maxBuffer) {
      const limit = `${this.#maxBuffer} UTF-16 code units`;
      this.#error ??= new RangeError(`An event is larger than ${limit}.`);
    }
    if (this.#error) {
      return false;
    }
    this.#line += piece;
    return true;
  }
}

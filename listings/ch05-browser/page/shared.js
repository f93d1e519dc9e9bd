// One stream for all tabs of an origin. A browser opens six connections to one
// host on HTTP/1.1, for all its tabs together; seven tabs with an EventSource
// each are one too many.
//
// The tab that holds the lock holds the stream, and passes the events on. When
// it goes, the browser gives the lock to another, which reads on where the
// events ended. That needs a request with a Last-Event-ID of its own making: an
// EventSource cannot be given one, so this is `fetch`. A SharedWorker could
// hold an EventSource, and no tab would have to take over; but Chrome for
// Android was late to have one, and its errors are in no tab's console.

import { fetchEvents } from "./fetch-source.js";

// How many IDs are remembered, to know an event that came twice.
const SEEN = 1_000;

// ANCHOR: shared
// Dispatches the stream's events, as an EventSource does; `leader` when this
// tab has become the one that holds the stream; and `refused`, whose `reason`
// says why there will be no events. Every event of the stream must have an ID
// of its own: without, there is no saying where to go on.
export class SharedSource extends EventTarget {
  isLeader = false;
  #lastEventId = "";
  #seen = new Set();
  #newest = null;
  #abort = new AbortController();
  #channel;

  constructor(url, options = {}) {
    super();
    const {
      locks = navigator.locks,
      BroadcastChannel = globalThis.BroadcastChannel,
      ...rest
    } = options;
    if (!locks) {
      throw new Error("Tabs share a stream over HTTPS or on localhost only.");
    }
    const name = `shared-source ${url}`;
    const { signal } = this.#abort;
    this.#channel = new BroadcastChannel(name);
    this.#channel.addEventListener("message", ({ data }) => this.#hear(data));
    // Who comes late is told the newest event, and so where the stream is.
    this.#channel.postMessage({ kind: "hello" });
    // The lock is held until this promise is settled, or the tab is gone. Those
    // who ask get it in order: the next leader is the tab that knows most.
    locks
      .request(name, { signal }, () => this.#lead(url, rest))
      .catch((error) => signal.aborted || this.#refuse(error));
  }

  async #lead(url, options) {
    this.isLeader = true;
    this.dispatchEvent(new Event("leader"));
    const { signal } = this.#abort;
    const lastEventId = this.#lastEventId;
    const events = fetchEvents(url, { ...options, lastEventId, signal });
    for await (const item of events) {
      if (item.kind === "event" && this.#take(item)) {
        this.#channel.postMessage(item);
      }
    }
  }
  // ANCHOR_END: shared

  #hear(message) {
    if (message.kind === "event") {
      this.#take(message);
    } else if (this.isLeader && this.#newest) {
      this.#channel.postMessage(this.#newest);
    }
  }

  // An event may come twice: a leader went after it had passed it on, and the
  // next asked for it before it heard.
  #take(item) {
    const { type, data, id } = item;
    if (id !== "" && this.#seen.has(id)) {
      return false;
    }
    this.#seen.add(id);
    if (this.#seen.size > SEEN) {
      this.#seen.delete(this.#seen.values().next().value);
    }
    this.#lastEventId = id;
    this.#newest = item;
    this.dispatchEvent(new MessageEvent(type, { data, lastEventId: id }));
    return true;
  }

  // The next in the line asks for itself, and is told by the server.
  #refuse(error) {
    this.isLeader = false;
    const refused = new Event("refused");
    this.dispatchEvent(Object.assign(refused, { reason: error.message }));
  }

  // Ends it for this tab; another takes over.
  close() {
    this.isLeader = false;
    this.#abort.abort();
    this.#channel.close();
  }
}

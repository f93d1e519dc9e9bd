// The stream, its state and its bytes, as the page shows them.

import { pieces } from "./bytes.js";
import { WORDS, make, seconds, showRows } from "./dom.js";
import { Refused, fetchEvents } from "./fetch-source.js";
import { PORTS, Reader, shortName } from "./reader.js";
import { isSameServer, isTrusted, otherName, sourceUrl } from "./reader.js";
import { Tail } from "./tail.js";

const SERVERS = [
  "1. Raw sockets",
  "2. Blocking",
  "3. hyper",
  "4. axum",
  "5. This page's",
];
// Bytes of the stream that are shown; a note counts as so many.
const MAX_RAW = 16 * 1024;
const NOTE = 100;
// Events on the console, from one drawing to the next.
const MAX_LOGGED = 50;
// In ms. Drawing takes a sixth of the time at most; what a stream is read with
// lets the page do something else after each turn.
const DRAW_EVERY = 50;
const TURN = 20;
const ANNOUNCE_EVERY = 10_000;

// What an error says. One that is no answer of a server or of the decoder is a
// mistake in this page, or something that its browser lacks.
function sentence(error) {
  const isTold = error instanceof Refused || error instanceof RangeError;
  const what = `${isTold ? "" : "this page has a fault: "}${error.message}`;
  const first = what[0].toUpperCase();
  return `${first}${what.slice(1)}${what.endsWith(".") ? "" : "."}`;
}

export function reader(section, base) {
  const at = (id) => section.querySelector(`#${id}`);
  const own = new URL("events", base);
  const { server, address, connect, pause, drop } = Object.fromEntries(
    ["server", "address", "connect", "pause", "drop"].map((id) => [id, at(id)]),
  );
  // By this name the server knows the two connections of this page.
  const random = crypto.getRandomValues(new Uint32Array(2));
  const name = `page-${Array.from(random, (it) => it.toString(36)).join("")}`;
  const raw = new Tail(MAX_RAW, ({ bytes }) => bytes?.length ?? NOTE);
  let source = null;
  let isOwn = false;
  let retry = null;
  let refusal = "";
  // Why the page itself has closed the stream, or not opened one.
  let reason = "";
  let logged = 0;
  let rawAbort = null;
  let announced = 0;

  const it = new Reader({
    tell: (row) => {
      if (row) {
        logged += 1;
        if (logged <= MAX_LOGGED) {
          console.log(row.type, row.lastEventId, row.data);
        }
      }
      paintSoon();
    },
  });

  // Many events may come at once; the page is drawn once for all of them. Not
  // by requestAnimationFrame: a frame out of sight is given none.
  let timer = null;
  let pace = DRAW_EVERY;
  function paintSoon() {
    timer ??= setTimeout(paint, pace);
  }

  function paint() {
    clearTimeout(timer);
    timer = null;
    const start = performance.now();
    if (logged > MAX_LOGGED) {
      console.log(`… and ${logged - MAX_LOGGED} more`);
    }
    logged = 0;
    paintState();
    const isOpen = it.state === "open";
    const lastId = shortName(it.lastEventId);
    at("last-event-id").textContent = lastId === "" ? "none" : lastId;
    at("retry").textContent = retry === null ? "not set" : seconds(retry);
    at("events").textContent = it.events;
    at("reconnections").textContent = it.reconnections;
    connect.textContent = it.state !== "closed" ? "Close" : connectWord();
    const { isHeld, waiting } = it.rows;
    pause.setAttribute("aria-pressed", isHeld);
    pause.textContent = isHeld ? `Go on (${waiting} waiting)` : "Pause";
    drop.disabled = !isOpen || dropWhyNot() !== "";
    at("drop-why").textContent = dropWhyNot();
    showRows(at("rows"), it.rows.view, rowElement);
    showRows(at("raw"), raw.view, rawElement);
    pace = Math.max(DRAW_EVERY, 5 * (performance.now() - start));
  }

  function paintState() {
    const { state, away, wasAway, wasRefused } = it;
    const line = at("state").parentElement;
    line.dataset.state = state;
    line.classList.toggle("error", wasRefused);
    const word = WORDS[state];
    // A live region speaks when it is set, even to what it was.
    if (at("state").textContent !== word) {
      at("state").textContent = word;
    }
    let why = "";
    if (away !== null) {
      why = `Away for ${seconds(away)}; the browser tries again by itself.`;
    } else if (wasRefused) {
      const what =
        refusal ||
        "No stream came that this page may read; the console may say why.";
      why = `${what} An EventSource does not come back from that.`;
    } else if (state === "closed") {
      why = reason;
    } else if (state === "open" && wasAway !== null) {
      why = `Back after ${seconds(wasAway)}.`;
    }
    at("state-why").textContent = why;
  }

  function connectWord() {
    return it.wasRefused ? "Try again" : "Connect";
  }

  function dropWhyNot() {
    if (location.origin !== base.origin) {
      return "“Drop me” works where the page came from its server.";
    }
    return isOwn
      ? ""
      : "“Drop me” asks this page's own server, which does not send this.";
  }

  // The address that was typed; `null`, and an error is shown, if it is none.
  function typed() {
    const error = at("address-error");
    try {
      const url = sourceUrl(address.value, own);
      error.textContent = "";
      address.removeAttribute("aria-invalid");
      return url;
    } catch ({ message }) {
      error.textContent = message;
      address.setAttribute("aria-invalid", "true");
      // What is said of an address before would seem to be said of this one.
      it.wasRefused = false;
      reason = "";
      paintSoon();
      return null;
    }
  }

  function start(url = typed()) {
    if (url === null) {
      return;
    }
    source = url;
    isOwn = isSameServer(source, own) && source.pathname === own.pathname;
    if (isOwn) {
      source.searchParams.set("reader", name);
    }
    choose();
    retry = null;
    refusal = "";
    reason = "";
    announced = 0;
    it.connect(source, { goesOn: isOwn });
    raw.clear();
    startRaw();
  }

  function choose() {
    const options = Array.from(server.options, ({ value }) => value);
    server.value = options.includes(address.value) ? address.value : "";
  }

  // The bytes are to be looked at. A tab that nobody sees leaves their
  // connection to the others.
  function startRaw() {
    rawAbort?.abort();
    if (it.state !== "closed" && !document.hidden) {
      rawAbort = new AbortController();
      readRaw(source, rawAbort.signal);
    }
  }

  function stop(why = "") {
    reason = why;
    it.close();
    rawAbort?.abort();
    paintSoon();
  }

  // The same stream once more, for what an EventSource keeps to itself.
  async function readRaw(url, signal) {
    const say = (note) => {
      // What an old connection still had to say is not for the new one.
      if (!signal.aborted) {
        raw.push({ note });
        paintSoon();
      }
    };
    // By the other name of this machine: a browser counts the connections to
    // each, and another tab of this page shall find one free. Then it is
    // another origin, and a request with the ID needs a preflight, which the
    // servers of chapters 1 to 3 do not answer.
    const other = otherName(url);
    let turn = performance.now();
    try {
      const events = fetchEvents(other, { signal, sendLastEventId: isOwn });
      for await (const item of events) {
        const { kind, bytes, ms, wait, error, unfinished } = item;
        if (kind === "open") {
          say("A connection.");
        } else if (kind === "bytes") {
          // As many as are shown; a copy, since a view keeps all of them.
          raw.push({ bytes: bytes.slice(-MAX_RAW) });
        } else if (kind === "retry") {
          retry = ms;
        } else if (kind === "lost") {
          if (it.wasRefused) {
            say("The browser was refused, so nothing more is tried.");
            return;
          }
          const within = unfinished ? " within an event, which is dropped" : "";
          const how = error ? `broke: ${error.message}` : `ended${within}`;
          say(`The connection ${how}. The next comes in ${seconds(wait)}.`);
        }
        paintSoon();
        if (performance.now() - turn > TURN) {
          await new Promise((resolve) => setTimeout(resolve));
          turn = performance.now();
          if (signal.aborted) {
            return;
          }
        }
      }
      say("The server has no more (204).");
    } catch (error) {
      const why = sentence(error);
      refusal = why;
      say(why);
      // The limit of the decoder. An EventSource has none: it would go on.
      if (error instanceof RangeError && !signal.aborted) {
        stop(`${why} So the page has closed the stream.`);
      }
    }
  }

  function announce() {
    const count = it.events - announced;
    announced = it.events;
    const last = it.rows.view.at(-1)?.data ?? "";
    if (count > 0 && at("announce").checked && !it.rows.isHeld) {
      const events = count === 1 ? "1 new event" : `${count} new events`;
      at("announcer").textContent = `${events}. ${last.slice(0, 200)}`;
    }
  }

  function paintTypes() {
    const types = [...it.types].join(", ");
    at("types").textContent =
      `The page listens to: ${types}. ` +
      "A type that nobody listens to is not heard.";
  }

  SERVERS.forEach((textContent, index) => {
    const port = PORTS[index];
    const url = `http://127.0.0.1:${port}/events`;
    const value = port === 9005 ? own.href : url;
    server.append(make("option", { textContent, value }));
  });
  server.append(make("option", { textContent: "Another", value: "" }));
  const given = new URLSearchParams(location.search).get("source");
  address.value = given ?? own.href;
  choose();
  address.addEventListener("input", choose);
  server.addEventListener("change", () => {
    if (server.value !== "") {
      address.value = server.value;
      start();
    } else {
      address.focus();
    }
  });
  at("connection").addEventListener("submit", (event) => {
    event.preventDefault();
    it.state === "closed" ? start() : stop();
  });
  pause.addEventListener("click", () => {
    for (const tail of [it.rows, raw]) {
      tail.isHeld ? tail.release() : tail.hold();
    }
    paint();
  });
  drop.addEventListener("click", async () => {
    const url = new URL(`readers/${name}`, base);
    const error = at("address-error");
    try {
      const { status } = await fetch(url, { method: "DELETE" });
      const is = `The server answered ${status}`;
      error.textContent = status === 204 ? "" : `${is}: nobody was dropped.`;
    } catch {
      error.textContent = "The server does not answer.";
    }
  });
  at("listen").addEventListener("submit", (event) => {
    event.preventDefault();
    const { value } = at("type");
    if (value !== "" && it.listen(value)) {
      at("type").value = "";
    }
    paintTypes();
  });
  document.addEventListener("visibilitychange", () => {
    startRaw();
    if (!document.hidden) {
      it.wake();
    }
  });
  addEventListener("online", () => it.wake());
  // A page that is kept for the Back button would keep its connections, and
  // they are six for all tabs.
  let wasReading = false;
  addEventListener("pagehide", () => {
    wasReading = it.state !== "closed";
    if (wasReading) {
      stop();
    }
  });
  addEventListener("pageshow", ({ persisted }) => {
    if (persisted && wasReading) {
      start(source);
    } else {
      it.wake();
    }
  });
  setInterval(announce, ANNOUNCE_EVERY);
  setInterval(() => it.away !== null && paintState(), 1_000);
  paintTypes();
  const first = typed();
  if (first !== null && isTrusted(first, own)) {
    start(first);
  } else if (first !== null) {
    reason = "The link chose this address. “Connect” reads from it.";
  }
  paint();
}

function rowElement({ type, data, lastEventId, size }) {
  const shown = size > data.length ? `${data}… (${size} in all)` : data;
  const line = make("p", { className: "row" });
  line.dataset.type = type;
  line.append(
    make("span", { className: "id", textContent: lastEventId || "–" }),
    " ",
    make("span", { className: "type", textContent: type }),
    " ",
    make("span", { className: "data", textContent: shown }),
  );
  return line;
}

function rawElement({ bytes, note }) {
  if (note) {
    return make("p", { className: "note", textContent: note });
  }
  const chunk = make("span", { className: "chunk" });
  for (const { text, escape } of pieces(bytes, "\\n\n")) {
    const span = { className: "escape", textContent: text };
    chunk.append(escape ? make("span", span) : text);
  }
  return chunk;
}

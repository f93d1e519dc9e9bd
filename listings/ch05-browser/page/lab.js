// The wire lab: the same bytes, read by this browser's EventSource and by this
// book's decoder. No DOM here; Node can run it with an EventSource of npm's.

import { canBeSent } from "./fetch-source.js";

// ANCHOR: run
// Has the lab's server send `bytes`, once, and compares what is read. `ours`
// are all items; `browsers` are events, since an EventSource shows no more.
// `waitForBack`, in ms, bounds the wait for the browser to connect again: with
// 0, it is closed before it does. `back` is then null; else `{ lastEventId,
// after }`, or `{ late }` if it did not come. `tell` gets the result as it is
// before that wait.
export async function run(bytes, options = {}) {
  const {
    EventSource = globalThis.EventSource,
    fetch = globalThis.fetch,
    base = import.meta.url,
    waitForEnd = 10_000,
    waitForBack = 10_000,
    tell = () => {},
  } = options;
  const { url, items: ours } = await post(bytes, base, fetch);
  const result = { url, ours, browsers: [], back: null };
  const compared = () => ({ ...result, differences: differences(result) });
  const source = new EventSource(url);
  let [isOpen, isOver] = [false, false];
  const hear = ({ type, data, lastEventId: id }) => {
    // What has no data is news of the connection, not an event of the stream
    // that is called `open` or `error`.
    if (data === undefined) {
      isOpen ||= type === "open";
    } else if (!isOver) {
      result.browsers.push({ kind: "event", type, data, id });
    }
  };
  for (const type of candidates(bytes, ours)) {
    source.addEventListener(type, hear);
  }
  try {
    // The first error: the browser has read all of it, and will come back.
    const end = next(source, "error", (event) => event.data === undefined);
    if ((await within(waitForEnd, end)) === LATE) {
      throw new Error(`The stream did not end within ${waitForEnd} ms.`);
    }
    isOver = true;
    if (source.readyState === EventSource.CLOSED) {
      throw new Error("The browser refused the stream, or was refused.");
    }
    if (!isOpen) {
      throw new LabError("The lab's server did not answer the browser.");
    }
    const start = performance.now();
    if (waitForBack > 0) {
      tell(compared());
      const back = await within(waitForBack, next(source, "back"));
      const after = performance.now() - start;
      result.back =
        back === LATE
          ? { late: waitForBack }
          : { ...JSON.parse(back.data), after };
    }
    return compared();
  } finally {
    source.close();
  }
}
// ANCHOR_END: run

// What the server's problem says, with its status.
export class LabError extends Error {
  constructor(message, response) {
    super(message);
    this.name = "LabError";
    this.status = response?.status ?? null;
    this.retryAfter = response?.headers.get("Retry-After") ?? null;
  }
}

async function post(bytes, base, fetch) {
  const headers = { "Content-Type": "application/octet-stream" };
  const request = { method: "POST", headers, body: bytes };
  let response;
  try {
    response = await fetch(new URL("lab", base), request);
  } catch {
    throw new LabError(
      "The lab's server does not answer, or does not allow this page.",
    );
  }
  if (response.status !== 201) {
    const problem = await response.json().catch(() => ({}));
    const why = problem.detail ?? problem.title ?? response.statusText;
    throw new LabError(`${response.status}: ${why}`, response);
  }
  const { url, items, error } = parse(await response.text());
  if (error !== null) {
    throw new LabError(error, response);
  }
  return { url: new URL(url, base).href, items };
}

// JSON whose reconnection times are exact: one that does not fit a double is a
// BigInt. Within a string the quotes would stand behind a backslash.
function parse(json) {
  const exact = (_, digits) => `"ms":"${digits}"`;
  return JSON.parse(json.replace(/"ms":([0-9]+)/g, exact), (key, value) => {
    if (key !== "ms") {
      return value;
    }
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : BigInt(value);
  });
}

// A type that nobody listens to is not heard. So this is what a reader might
// take for a type, also one that breaks the rules: whatever follows the word
// `event`, with the space and without, wherever a line may seem to end.
export function candidates(bytes, ours = []) {
  const types = new Set(["message", "open", "error", "back"]);
  ours.forEach(({ type }) => type !== undefined && types.add(type));
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  for (const ends of [/\r\n?|\n/, /[\0\v\f\r\n\x85\u2028\u2029]/, /[\r\n\0]/]) {
    for (const line of text.split(ends)) {
      const at = line.toLowerCase().indexOf("event");
      if (at < 0) {
        continue;
      }
      const value = line.slice(at + "event".length).replace(/^[\s\0]*:/, "");
      const bare = value.trim();
      for (const type of [value, value.slice(1), bare, value.trimStart()]) {
        types.add(type).add(type.replaceAll("\uFEFF", ""));
        types.add(type.replaceAll("\0", "")).add(type.toLowerCase());
      }
    }
  }
  types.delete("");
  return types;
}

// In ms: a browser that comes back so much earlier or later than it was told
// has done as it was told. Clocks are coarse, and a machine may be busy.
export const TOLERANCE = { early: 50, late: 2_000 };

// Event by event, by their place; the ID that the browser came back with, and
// when. `event` counts from 1, and is null for these.
export function differences({ ours, browsers, back }) {
  const events = ours.filter(({ kind }) => kind === "event");
  const found = [];
  for (let at = 0; at < Math.max(events.length, browsers.length); at += 1) {
    const [our, its] = [events[at] ?? null, browsers[at] ?? null];
    const fields = ["type", "data", "id"].filter((f) => our?.[f] !== its?.[f]);
    if (fields.length > 0) {
      found.push({ event: at + 1, fields, ours: our, browser: its });
    }
  }
  // An ID that a header cannot carry comes back in the browser's own way.
  const id = lastEventId(ours);
  if (back && !("late" in back) && (id === "" || canBeSent(id))) {
    const sent = id === "" ? null : id;
    if (back.lastEventId !== sent) {
      const both = { ours: sent, browser: back.lastEventId };
      found.push({ event: null, fields: ["lastEventId"], ...both });
    }
  }
  if (back && isWaitOther(reconnectionTime(ours), back)) {
    const both = { ours: reconnectionTime(ours), browser: back };
    found.push({ event: null, fields: ["wait"], ...both });
  }
  return found;
}

// Whether the browser waited otherwise than it was told; null where that cannot
// be known: nothing was told, so the time is the browser's own choice, or the
// time is longer than this has waited.
export function isWaitOther(told, { after, late }) {
  const wait = Number(told);
  if (told === null || (late !== undefined && wait > late - TOLERANCE.late)) {
    return null;
  }
  const isEarly = after < wait - TOLERANCE.early;
  return late !== undefined || isEarly || after > wait + TOLERANCE.late;
}

// What a reader of these items would come back with.
export function lastEventId(items) {
  return items.findLast(({ id }) => id !== undefined)?.id ?? "";
}

// The time that the browser was told last to wait, in ms, or null.
export function reconnectionTime(items) {
  return items.findLast(({ kind }) => kind === "retry")?.ms ?? null;
}

function next(source, type, isIt = () => true) {
  return new Promise((resolve) => {
    source.addEventListener(type, (event) => isIt(event) && resolve(event));
  });
}

const LATE = Symbol("late");

async function within(ms, promise) {
  let timer;
  const late = new Promise((resolve) => {
    timer = setTimeout(() => resolve(LATE), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

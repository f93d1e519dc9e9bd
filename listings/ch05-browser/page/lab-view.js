// The wire lab, as a page shows it.

import { fromChars, fromNotation, toNotation, utf8 } from "./bytes.js";
import { make, seconds } from "./dom.js";
import { TOLERANCE, isWaitOther, run } from "./lab.js";
import { lastEventId, reconnectionTime } from "./lab.js";

const FIRST = "id: 1\nevent: greeting\ndata: Hello\\r\ndata: \\xC3\\xA9\n\n";
const WAIT = 10_000;
// Characters of one value that are shown.
const MAX_SHOWN = 2_000;

export function lab(section, base) {
  // The server takes posts from its own page and from the book only.
  if (location.origin !== base.origin) {
    const href = new URL("lab", base).href;
    const there = make("a", { href, textContent: href });
    const where = "The wire lab is on the server's own page: ";
    section.append(make("p", {}, where, there));
    return;
  }
  const bytes = make("textarea", {
    id: "lab-bytes",
    rows: 8,
    value: FIRST,
    spellcheck: false,
    autocomplete: "off",
  });
  bytes.setAttribute("autocapitalize", "none");
  bytes.setAttribute("aria-describedby", "lab-notation lab-status");
  const shelf = make("select", { id: "lab-shelf" });
  shelf.setAttribute("aria-describedby", "lab-what");
  shelf.append(make("option", { value: "", textContent: "Your own" }));
  const what = make("p", { id: "lab-what", className: "hint" });
  const send = make("button", { textContent: "Send" });
  const status = make("p", { id: "lab-status", className: "status" });
  status.setAttribute("role", "status");
  const form = make("form", {});
  form.append(
    make("p", { className: "field" }, label("lab-shelf", "Shelf"), shelf),
    what,
    make("p", { className: "field" }, label("lab-bytes", "Bytes"), bytes),
    make("p", { id: "lab-notation", className: "hint" }, NOTATION),
    make("p", { className: "buttons" }, send),
    status,
  );
  const result = make("div", { className: "result" });
  section.append(make("p", {}, INTRODUCTION), form, result);

  fillShelf(shelf, base).catch(() => {
    what.textContent = "The shelf could not be had from the server.";
  });
  shelf.addEventListener("change", () => {
    const { value, dataset } = shelf.selectedOptions[0];
    what.textContent = dataset.what ?? "";
    if (value !== "") {
      bytes.value = toNotation(fromChars(dataset.bytes));
      result.replaceChildren();
      status.textContent = "";
    }
  });
  bytes.addEventListener("input", () => {
    shelf.value = "";
    what.textContent = "";
    bytes.removeAttribute("aria-invalid");
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let read;
    try {
      read = fromNotation(bytes.value);
      bytes.removeAttribute("aria-invalid");
    } catch (error) {
      status.textContent = error.message;
      result.replaceChildren();
      bytes.setAttribute("aria-invalid", "true");
      bytes.focus();
      bytes.setSelectionRange(error.index, error.index + 1);
      return;
    }
    send.disabled = true;
    status.textContent = "Sent; the browser is reading.";
    result.replaceChildren();
    try {
      const tell = (compared) => {
        show(result, compared);
        status.textContent = waiting(compared.ours);
      };
      const compared = await run(read, { base, waitForBack: WAIT, tell });
      show(result, compared);
      status.textContent = verdict(compared);
    } catch (error) {
      status.textContent = error.message;
    } finally {
      send.disabled = false;
    }
  });
}

const INTRODUCTION =
  "The bytes go to the server, which sends them back as an event stream. " +
  "This browser's EventSource reads it; beside it stands what this book's " +
  "decoder reads.";

const NOTATION =
  "Text is UTF-8, a line end is LF. Escapes: \\r \\n \\t \\0 \\\\ " +
  "\\xHH (a byte) \\u{H…} (a character).";

function label(htmlFor, textContent) {
  return make("label", { htmlFor, textContent });
}

// The cases by the part of their name before the first hyphen.
async function fillShelf(shelf, base) {
  const response = await fetch(new URL("lab/cases", base));
  const groups = new Map();
  for (const { name, what, bytes } of await response.json()) {
    const [group] = name.split("-");
    if (!groups.has(group)) {
      groups.set(group, make("optgroup", { label: group }));
    }
    const option = make("option", { value: name, textContent: name });
    Object.assign(option.dataset, { what, bytes });
    groups.get(group).append(option);
  }
  shelf.append(...groups.values());
}

function waiting(ours) {
  const retry = reconnectionTime(ours);
  const told =
    retry === null ? "" : `The stream told it to wait ${time(retry)}. `;
  const waits = `This page waits ${seconds(WAIT)}.`;
  return `The browser has read all of it, and will come back. ${told}${waits}`;
}

function verdict({ ours, back, differences }) {
  const count = differences.length;
  const what = `${count} ${count === 1 ? "difference" : "differences"}.`;
  const told = reconnectionTime(ours);
  const { early, late } = TOLERANCE;
  const isCompared = back !== null && isWaitOther(told, back) !== null;
  const wait = isCompared
    ? `A wait is compared: ${early} ms early to ${seconds(late)} late is one.`
    : "The wait is longer than this page has waited, and not compared.";
  return [
    count === 0 ? "No difference." : what,
    told === null ? "" : wait,
    "A type that nobody listens to is not heard; the lab listens to every",
    "text that may be one.",
  ]
    .filter(Boolean)
    .join(" ");
}

function show(place, { ours, browsers, back, differences }) {
  const body = make("tbody");
  const add = (name, our, its, difference) => {
    const compared = difference === false ? "= same" : "";
    const word = difference ? `≠ ${difference.fields.join(", ")}` : compared;
    const row = make(
      "tr",
      {},
      make("th", { scope: "row", textContent: name }),
      make("td", {}, our),
      make("td", {}, its),
      make("td", {}, word),
    );
    row.classList.toggle("differs", Boolean(difference));
    body.append(row);
  };
  const at = (number, field) =>
    differences.find(
      ({ event, fields }) =>
        event === number && (field === undefined || fields.includes(field)),
    ) ?? false;
  let events = 0;
  for (const item of ours) {
    if (item.kind === "event") {
      const its = browsers[events];
      events += 1;
      add(`event ${events}`, fields(item), fields(its), at(events));
    } else {
      add(item.kind, value(item), soft("not shown to a page"), null);
    }
  }
  for (const its of browsers.slice(events)) {
    events += 1;
    add(`event ${events}`, fields(null), fields(its), at(events));
  }
  if (back) {
    const isLate = "late" in back;
    const never = soft(`did not come within ${seconds(back.late)}`);
    const its = isLate ? never : header(back.lastEventId);
    const difference = isLate ? null : at(null, "lastEventId");
    add("comes back with", header(lastEventId(ours)), its, difference);
    const told = reconnectionTime(ours);
    const our = told === null ? soft("was not told") : `${told} ms`;
    const isKnown = isWaitOther(told, back) !== null;
    const wait = isKnown ? at(null, "wait") : null;
    const when = isLate ? soft("as above") : `${Math.round(back.after)} ms`;
    add("comes back after", our, when, wait);
  }
  if (body.childElementCount === 0) {
    add("nothing", soft("no items"), soft("no events"), false);
  }
  const head = ["Item", "This book", "This browser", "Same?"].map(
    (textContent) => make("th", { scope: "col", textContent }),
  );
  const table = make("table", {}, make("caption", {}, "What was read"));
  table.append(make("thead", {}, make("tr", {}, ...head)), body);
  place.replaceChildren(table);
}

function soft(textContent) {
  return make("span", { className: "soft", textContent });
}

function code(text) {
  const shown = toNotation(utf8(text.slice(0, MAX_SHOWN)));
  const more = text.length > MAX_SHOWN ? `… (${text.length} in all)` : "";
  return make("code", { textContent: `${shown}${more}` });
}

function header(id) {
  return id === null || id === ""
    ? soft("no ID")
    : make("span", {}, "Last-Event-ID: ", code(id));
}

// In words, which may be BigInt's.
function time(ms) {
  return ms > 2 ** 53 ? `${ms} ms` : seconds(Number(ms));
}

function value({ kind, text, ms, id }) {
  return kind === "retry" ? `${ms} ms` : code(kind === "comment" ? text : id);
}

function fields(event) {
  if (!event) {
    return soft("no event");
  }
  const list = make("dl", { className: "fields" });
  for (const field of ["type", "data", "id"]) {
    const shown = event[field] === "" ? soft("empty") : code(event[field]);
    list.append(make("dt", { textContent: field }), make("dd", {}, shown));
  }
  return list;
}

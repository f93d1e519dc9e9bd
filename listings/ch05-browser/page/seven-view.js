// Seven streams, as a page shows them.

import { WORDS, make } from "./dom.js";
import { otherName } from "./reader.js";
import { COUNT, Seven } from "./seven.js";

export function seven(section, base) {
  // By the other name, the streams do not take the connections that the page
  // itself needs.
  const url = otherName(new URL("events", base));
  const body = make("tbody");
  let timer = null;
  const paint = () => {
    timer = null;
    streams.readers.forEach((reader, at) => {
      const { state, events, rows } = reader;
      const { word, count, last, close } = lines[at];
      word.parentElement.dataset.state = state;
      word.textContent = WORDS[state];
      count.textContent = events;
      last.textContent = rows.view.at(-1)?.data ?? "";
      close.disabled = state === "closed";
    });
    const open = streams.readers.filter(({ state }) => state === "open");
    status.textContent = `${open.length} of ${COUNT} are open.`;
  };
  const streams = new Seven({ url, tell: () => (timer ??= setTimeout(paint)) });
  const lines = streams.readers.map((reader, at) => {
    const name = `Stream ${at + 1}`;
    const word = make("strong");
    const icon = make("span", { className: "icon" });
    icon.setAttribute("aria-hidden", "true");
    const state = make("span", { className: "state" }, icon, " ", word);
    const count = make("td");
    const last = make("td", { className: "anywhere" });
    const close = make("button", { type: "button", className: "quiet" });
    close.append("Close", make("span", { className: "unseen" }, ` ${name}`));
    close.addEventListener("click", () => reader.close());
    const cells = [make("td", {}, state), count, last, make("td", {}, close)];
    const head = make("th", { scope: "row", textContent: name });
    body.append(make("tr", {}, head, ...cells));
    return { word, count, last, close };
  });
  const button = (textContent, run) => {
    const it = make("button", { type: "button", textContent });
    it.addEventListener("click", run);
    return it;
  };
  const all = button("Open seven", () => streams.open());
  const none = button("Close all", () => streams.close());
  none.className = "quiet";
  const status = make("p", { className: "status" });
  status.setAttribute("role", "status");
  const head = ["", "State", "Events", "The last", ""].map((textContent) =>
    textContent === "" ? make("td") : make("th", { scope: "col", textContent }),
  );
  const table = make("table", {}, make("caption", {}, `From ${url}`));
  table.append(make("thead", {}, make("tr", {}, ...head)), body);
  // A page that is kept for the Back button would keep its six connections.
  addEventListener("pagehide", () => streams.close());
  section.append(
    make("p", {}, INTRODUCTION),
    make("p", { className: "buttons" }, all, none),
    status,
    table,
  );
  paint();
}

const INTRODUCTION =
  "A browser opens six connections to one host on HTTP/1.1, for all its tabs " +
  "together. The seventh waits, and there is no error. Close one, and see it " +
  "open.";

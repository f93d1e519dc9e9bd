// One stream in many tabs, as each of them shows it.

import { make, showRows } from "./dom.js";
import { TYPES } from "./reader.js";
import { SharedSource } from "./shared.js";
import { Tail } from "./tail.js";

export function shared(section, base) {
  const state = make("p", { className: "status" });
  state.setAttribute("role", "status");
  const log = make("div", { className: "log", tabIndex: 0 });
  log.setAttribute("role", "log");
  log.setAttribute("aria-live", "off");
  log.setAttribute("aria-label", "Events");
  section.append(make("p", {}, INTRODUCTION), state, log);
  const rows = new Tail(500);
  let source = null;

  const start = () => {
    state.textContent = "This tab hears the events from another.";
    source = new SharedSource(new URL("events", base).href);
    source.addEventListener("leader", () => {
      state.textContent = "This tab holds the stream.";
    });
    source.addEventListener("refused", ({ reason }) => {
      state.textContent = `No events: ${reason}`;
    });
    for (const type of TYPES) {
      source.addEventListener(type, ({ data, lastEventId }) => {
        rows.push({ data, lastEventId });
        showRows(log, rows.view, element);
      });
    }
  };
  // A page that is kept for the Back button must not keep the stream.
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", ({ persisted }) => persisted && start());
  start();
}

const INTRODUCTION =
  "Open this page in several tabs. One of them has a connection; close it, " +
  "and another goes on.";

function element({ data, lastEventId }) {
  const id = make("span", { className: "id", textContent: lastEventId });
  return make("p", { className: "row" }, id, ` ${data}`);
}

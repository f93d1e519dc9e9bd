// Loaded only when this book is served by its own program (`cargo run`).
"use strict";

// ANCHOR: reload
// The page shows the newest edition, and hears where that of chapter 5 is
// (theme/page.js). A browser opens six connections to one server, for all its
// tabs together, so a hidden tab gives its own back.
(() => {
  const { edition } = document.currentScript.dataset;
  let source = null;
  const watch = () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (!source) {
      source = new EventSource("/live/edition");
      source.addEventListener("edition", ({ data }) => {
        if (data !== edition) {
          location.reload();
        }
      });
      const tell = (detail) =>
        dispatchEvent(new CustomEvent("book-page", { detail }));
      source.addEventListener("page", ({ data }) => tell({ url: data }));
      source.addEventListener("away", ({ data }) =>
        tell({ url: null, why: data }),
      );
      // A refused EventSource stays closed; the next look tries again.
      source.addEventListener("error", ({ target }) => {
        if (target === source && target.readyState === EventSource.CLOSED) {
          source = null;
        }
      });
    }
  };
  document.addEventListener("visibilitychange", watch);
  watch();
})();
// ANCHOR_END: reload

const LINES = 500;

const make = (tag, properties) =>
  Object.assign(document.createElement(tag), properties);

// ANCHOR: pane
// One side of a run. A log that a reader scrolled up in stays where it is.
function pane(title) {
  const log = make("pre", { className: "live-log", tabIndex: 0 });
  log.setAttribute("role", "log");
  log.setAttribute("aria-label", `${title}: what it prints`);
  const box = make("div", { className: "live-pane" });
  box.append(make("p", { className: "live-title", textContent: title }), log);
  const add = ({ data }) => {
    const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
    log.append(make("span", { textContent: `${data}\n` }));
    while (log.childElementCount > LINES) {
      log.firstChild.remove();
    }
    if (follows) {
      log.scrollTop = log.scrollHeight;
    }
  };
  return { box, add, clear: () => log.replaceChildren() };
}
// ANCHOR_END: pane

// ANCHOR: panel
// The connection is the run: opening it starts the programs, closing it ends
// them. So whatever takes the page away ends them too.
function panel(figure) {
  const sides = {
    build: pane("cargo"),
    server: pane("Server"),
    client: pane("Client"),
  };
  const panes = make("div", { className: "live-panes", hidden: true });
  panes.append(...Object.values(sides).map(({ box }) => box));
  const transcripts = [...figure.querySelectorAll("pre")];
  const button = make("button", { type: "button", textContent: "Run" });
  const back = make("button", {
    type: "button",
    textContent: "Show the transcript",
    hidden: true,
  });
  const state = make("span", { className: "live-state" });
  state.setAttribute("role", "status");
  const bar = make("div", { className: "live-bar" });
  bar.append(button, back, state);
  figure.prepend(bar, panes);

  let source = null;
  const say = (text) => {
    // The same words again would be announced again.
    if (state.textContent !== text) state.textContent = text;
  };
  const show = (live) => {
    panes.hidden = !live;
    transcripts.forEach((pre) => pre.classList.toggle("live-away", live));
  };
  // Either cargo is at work or the two programs are.
  const builds = (is) => {
    say(is ? "Being built. It starts by itself." : "Running.");
    for (const [side, { box }] of Object.entries(sides)) {
      box.hidden = is !== (side === "build");
    }
  };
  const end = (why) => {
    source?.close();
    source = null;
    button.textContent = "Run";
    back.hidden = panes.hidden;
    say(why);
  };
  const start = () => {
    Object.values(sides).forEach((side) => side.clear());
    builds(false);
    show(true);
    back.hidden = true;
    button.textContent = "Stop";
    say("Starting…");
    source = new EventSource(`/live/run/${figure.dataset.chapter}`);
    for (const [side, { add }] of Object.entries(sides)) {
      source.addEventListener(side, (event) => {
        builds(side === "build");
        add(event);
      });
    }
    source.addEventListener("end", ({ data }) => end(`Ended. ${data}`));
    // Without this, EventSource would come back and so start another run.
    source.addEventListener("error", () =>
      end("Ended. The book's server is gone, or refused; see its terminal."),
    );
  };
  button.addEventListener("click", () => (source ? end("Stopped.") : start()));
  back.addEventListener("click", () => {
    show(false);
    back.hidden = true;
    say("");
    button.focus();
  });
  addEventListener("pagehide", () => source && end("Ended with the page."));
}
// ANCHOR_END: panel

document.querySelectorAll("figure.live[data-chapter]").forEach(panel);

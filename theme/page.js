// The page of chapter 5, in the book. It comes from chapter 5's own server;
// until that server is up, the figure keeps what is written in it.
"use strict";

(() => {
  // Every two seconds, and only where a reader could see it, a figure looks
  // for its page.
  const WAIT = 2_000;
  const NEAR = "50%";
  const [LOWEST, HIGHEST] = [200, 4_000];
  // Whom the server lets show its page, beside plain files: its default.
  const MAY = ["http://127.0.0.1:3000", "http://localhost:3000"];
  const LOOKING = "Looking for it. It will appear here by itself.";

  // The book's own program (`cargo run`) runs that server too. It says where,
  // or why there is none; theme/live.js passes that on, now and again.
  const book = { url: null, why: LOOKING };
  addEventListener("book-page", ({ detail }) => Object.assign(book, detail));

  const make = (tag, properties) =>
    Object.assign(document.createElement(tag), properties);
  const theme = () => {
    const dark = document.documentElement.matches(".navy, .coal, .ayu");
    return `#theme=${dark ? "dark" : "light"}`;
  };

  // ANCHOR: frame
  // A fetch that is refused writes an error on the console, each time; a
  // frame that is refused does not. So the frame itself is the probe: nobody
  // sees it before the page in it has spoken, since without a server it holds
  // the browser's own error page.
  function frame(figure, isOwn, may) {
    const { pathname, search } = new URL(figure.dataset.page);
    const caption = figure.querySelector("figcaption");
    const state = make("p", { className: "page-state" });
    state.setAttribute("role", "status");
    caption.before(state);

    let page = null;
    let link = null;
    const moves = (base) => {
      page = base === null ? null : new URL(pathname + search, base);
      link = make("a", { href: page, textContent: page, target: "_blank" });
    };
    moves(isOwn ? book.url : figure.dataset.page);
    if (!may) {
      state.append(
        `The page's server lets only plain files and the book at ${MAY[0]} ` +
          "show its page. In a tab of its own it opens from anywhere: ",
        link,
      );
      return;
    }

    const say = (text) => {
      // The same words again would be announced again.
      if (state.textContent !== text) state.textContent = text;
    };
    let near = false;
    let shown = theme();
    let [probe, loads, spoke, timer] = [null, 0, false];
    const hide = () => {
      clearTimeout(timer);
      probe?.remove();
      [probe, loads, spoke] = [null, 0, false];
      figure.classList.remove("page-here", "page-speaks");
    };
    const look = () => {
      if (figure.classList.contains("page-here")) {
        return;
      }
      if (document.hidden || !near) {
        hide();
      } else if (!page) {
        say(book.why);
      } else if (!probe) {
        say(LOOKING);
        shown = theme();
        probe = make("iframe", {
          title: caption.textContent,
          src: page + shown,
        });
        // The page has loaded, or the error page in its place. Later, the
        // next one has: a reader has followed a link inside.
        probe.addEventListener("load", () => {
          if (loads++ > 0) {
            spoke = false;
            figure.classList.remove("page-speaks");
          }
          clearTimeout(timer);
          timer = setTimeout(() => spoke || (hide(), look()), WAIT);
        });
        state.before(probe);
      }
    };

    addEventListener("message", ({ source, origin, data }) => {
      const height = data?.ch05?.height;
      if (source === null || source !== probe?.contentWindow) return;
      if (origin !== page.origin || !Number.isFinite(height)) return;
      spoke = true;
      const bounded = Math.min(Math.max(height, LOWEST), HIGHEST);
      probe.style.height = `${Math.ceil(bounded)}px`;
      if (!figure.classList.contains("page-here")) {
        state.replaceChildren("It runs, at ", link);
      }
      figure.classList.add("page-here", "page-speaks");
    });
    // Another fragment loads nothing anew, and leaves no step in the history.
    new MutationObserver(() => {
      if (probe && shown !== theme()) {
        shown = theme();
        probe.contentWindow.location.replace(page + shown);
      }
    }).observe(document.documentElement, { attributeFilter: ["class"] });
    document.addEventListener("visibilitychange", look);
    if (isOwn) {
      // What is said again changes nothing.
      addEventListener("book-page", () => {
        if (page?.origin !== (book.url && new URL(book.url).origin)) {
          hide();
          moves(book.url);
        }
        look();
      });
    }
    new IntersectionObserver(
      (entries) => {
        near = entries.at(-1).isIntersecting;
        look();
      },
      { rootMargin: NEAR },
    ).observe(figure);
  }
  // ANCHOR_END: frame

  document.addEventListener("DOMContentLoaded", () => {
    const isOwn = document.querySelector("script[data-edition]") !== null;
    const may =
      isOwn ||
      location.protocol === "file:" ||
      MAY.includes(location.origin);
    // Of all pages in one, for a printer, nothing is alive.
    if (!/\/print(\.html)?$/.test(location.pathname)) {
      document
        .querySelectorAll("figure.page[data-page]")
        .forEach((figure) => frame(figure, isOwn, may));
    }
  });
})();

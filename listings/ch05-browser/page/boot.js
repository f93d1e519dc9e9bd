// Not a module: it runs before the page is drawn, and also where the page was
// opened as a file, from which the browser loads no modules.
"use strict";

// What no page here can do without.
const NEEDED = [
  ...["AbortController", "EventSource", "ResizeObserver", "TextDecoder"],
  ...["fetch", "structuredClone"],
];

// The book that frames this page says which scheme its reader has chosen.
(() => {
  const root = document.documentElement;
  const choose = () => {
    const theme = new URLSearchParams(location.hash.slice(1)).get("theme");
    const isKnown = theme === "light" || theme === "dark";
    root.dataset.theme = isKnown ? theme : "auto";
  };
  addEventListener("hashchange", choose);
  choose();
  root.classList.toggle("framed", parent !== window);
})();

// The modules come from the server. While it is away, this page says so.
(async (name) => {
  const isFile = location.protocol === "file:";
  const base = isFile ? "http://127.0.0.1:9005/" : location.href;
  const say = (text) => {
    const place = document.getElementById("boot");
    place.hidden = text === "";
    place.textContent = text;
  };
  const parsed = new Promise((resolve) =>
    document.addEventListener("DOMContentLoaded", resolve),
  );
  // A mistake in a script would be made again: it is told, and not tried to be
  // got over. (An event without an error is none of ours.)
  const fault = async (error) => {
    await parsed;
    say(`This page has a fault: ${error.message ?? error}`);
  };
  addEventListener("error", ({ error }) => error && fault(error));
  addEventListener("unhandledrejection", ({ reason }) => fault(reason));
  const lacks = NEEDED.filter((it) => typeof globalThis[it] !== "function");
  if (lacks.length > 0) {
    await parsed;
    say(`This browser lacks ${lacks.join(", ")}. A newer one has them.`);
    return;
  }
  // A browser may remember that an import failed, and fail again without
  // asking; so the server is asked another way until it answers.
  for (;;) {
    try {
      await fetch(new URL("boot.js", base), { cache: "no-store" });
      break;
    } catch {
      await parsed;
      say(
        "This page needs its server. Start it with " +
          "cargo run -p ch05-browser -- server; " +
          "then the page goes on by itself.",
      );
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
  }
  await parsed;
  try {
    await import(new URL(name, base));
    say("");
  } catch (error) {
    say(`The page could not be loaded: ${error.message} Reload it, please.`);
  }
})(document.currentScript.dataset.module);

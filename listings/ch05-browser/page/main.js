// Puts each part into its place, and gets along with the book around it.

import { lab } from "./lab-view.js";
import { reader } from "./reader-view.js";
import { seven } from "./seven-view.js";
import { shared } from "./shared-view.js";

// The server of this page, also where the page itself was opened as a file.
const base = new URL(".", import.meta.url);

for (const link of document.querySelectorAll("a[data-page]")) {
  const aim = () => {
    link.href = new URL(link.dataset.page, base).href + location.hash;
  };
  addEventListener("hashchange", aim);
  aim();
}

const parts = { reader, lab, seven, shared };
for (const section of document.querySelectorAll("section[data-part]")) {
  section.hidden = false;
  parts[section.dataset.part](section, base);
}

// A frame has no height of its own: the book gives it the one that it asks for.
if (parent !== window) {
  const tell = () => {
    const { height } = document.documentElement.getBoundingClientRect();
    parent.postMessage({ ch05: { height: Math.ceil(height) } }, "*");
  };
  new ResizeObserver(tell).observe(document.documentElement);
  tell();
}

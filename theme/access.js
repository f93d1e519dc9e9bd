// What mdBook's pages leave to wish for a reader without a mouse.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  // ANCHOR: access
  // The switch of the sidebar is a label, which no key reaches.
  const toggle = document.getElementById("mdbook-sidebar-toggle");
  if (toggle) {
    toggle.setAttribute("role", "button");
    toggle.tabIndex = 0;
    toggle.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        toggle.click();
      }
    });
  }

  // What is wider than the page scrolls in a box of its own. A key scrolls
  // the box that has the focus, so it must be able to get it.
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) {
        target.tabIndex = 0;
      } else {
        target.removeAttribute("tabindex");
      }
    }
  });
  for (const box of document.querySelectorAll("pre > code, .table-wrapper")) {
    sizes.observe(box);
  }
  // ANCHOR_END: access
});

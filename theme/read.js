// What mdBook's pages leave to wish for a reader who copies, follows a listing
// to its file, or reads on a phone.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const make = (tag, properties, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };

  // Of a transcript the button copies the commands, without `$ ` and without
  // what they printed. A command goes on in the next line behind a backslash.
  const commands = (text) => {
    const kept = [];
    let goesOn = false;
    for (const line of text.split("\n")) {
      if (goesOn || line.startsWith("$ ")) {
        kept.push(goesOn ? line : line.slice(2));
        goesOn = line.endsWith("\\");
      }
    }
    return kept.length === 0 ? text : kept.join("\n") + "\n";
  };
  for (const code of document.querySelectorAll("code.language-console")) {
    // It is what mdBook's button asks for.
    Object.defineProperty(code, "innerText", {
      get: () => commands(code.textContent),
    });
  }

  // A caption names a file. It leads there: to the repository, where the book
  // was built with its address, or to the book's own server, which has it.
  const repository = document.querySelector("a[title='Git repository']");
  const isOwn = document.querySelector("script[data-edition]") !== null;
  const root = typeof path_to_root === "string" ? path_to_root : "";
  for (const code of document.querySelectorAll("figcaption code")) {
    const path = code.textContent;
    if (!/^listings\/.*\.\w+$/.test(path) || code.closest("a")) {
      continue;
    }
    const href = repository
      ? `${repository.href.replace(/\/$/, "")}/blob/HEAD/${path}`
      : isOwn && root + path;
    if (href) {
      const link = make("a", { href });
      code.replaceWith(link);
      link.append(code);
    }
  }

  // The first press of Tab leads past bar and contents.
  const main = document.querySelector("main");
  if (main) {
    main.id ||= "text";
    main.tabIndex = -1;
    const skip = make("a", { className: "skip", href: `#${main.id}` });
    skip.append("Skip to the text");
    document.body.prepend(skip);
  }

  // The names of the pages before and after, at the end of this one.
  const named = (rel) => {
    const arrow = document.querySelector(`.nav-wrapper a[rel~='${rel}']`);
    const entries = document.querySelectorAll("#mdbook-sidebar a[href]");
    const entry = [...entries].find(({ href }) => href === arrow?.href);
    if (!entry) {
      return [];
    }
    const name = entry.textContent.trim();
    arrow.setAttribute("aria-label", `${arrow.title}: ${name}`);
    return [make("a", { rel, href: arrow.href, textContent: name })];
  };
  const around = [...named("prev"), ...named("next")];
  if (main && around.length > 0) {
    const nav = make("nav", { className: "around" }, ...around);
    nav.setAttribute("aria-label", "The pages before and after");
    main.append(nav);
  }

  // What goes on beyond the edge shows that it does.
  const look = ({ target }) => {
    const rest = target.scrollWidth - target.clientWidth - target.scrollLeft;
    target.classList.toggle("goes-on", rest > 1);
  };
  const sizes = new ResizeObserver((entries) => entries.forEach(look));
  for (const box of document.querySelectorAll("pre > code, .table-wrapper")) {
    sizes.observe(box);
    box.addEventListener("scroll", look, { passive: true });
  }
});

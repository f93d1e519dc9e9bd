// The little that the views share. What was received becomes text, never HTML.

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Each state by its word; the style sheet adds a sign and a colour.
export const WORDS = {
  connecting: "Connecting",
  open: "Open",
  closed: "Closed",
};

const DAY = 24 * 60 * 60 * 1000;

export function seconds(ms) {
  if (ms > DAY) {
    return "more than a day";
  }
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
}

// Makes a log show the rows of a tail: takes away what is no longer there, adds
// what is new. A log that was scrolled up stays where it is.
export function showRows(log, rows, element) {
  const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
  const first = rows[0]?.number ?? Infinity;
  while (log.firstChild && Number(log.firstChild.dataset.number) < first) {
    log.firstChild.remove();
  }
  const last = Number(log.lastChild?.dataset.number ?? 0);
  for (const row of rows) {
    if (row.number > last) {
      const made = element(row);
      made.dataset.number = row.number;
      log.append(made);
    }
  }
  if (follows) {
    log.scrollTop = log.scrollHeight;
  }
}

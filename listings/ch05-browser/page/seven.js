// Seven streams from one host, where a browser opens six on HTTP/1.1.

import { Reader } from "./reader.js";

export const COUNT = 7;
// From one to the next, in ms: one can watch them open.
const PACE = 300;

export class Seven {
  readers;
  #url;
  #pace;
  #timers = [];

  // `tell` is called after every change; the other options are a reader's.
  constructor({ url, pace = PACE, tell = () => {}, ...options }) {
    this.#url = url;
    this.#pace = pace;
    this.readers = Array.from(
      { length: COUNT },
      () => new Reader({ ...options, rows: 1, tell: () => tell() }),
    );
  }

  open() {
    this.close();
    this.#timers = this.readers.map((reader, at) =>
      setTimeout(() => reader.connect(this.#url), at * this.#pace),
    );
  }

  close() {
    this.#timers.forEach(clearTimeout);
    this.readers.forEach((reader) => reader.close());
  }
}

// Bytes as text that shows every one of them, and that text read back.
//
// Text stands for its UTF-8, a line end for LF. What is no text, or is none
// that one can see, is an escape: \r \n \t \0 \\ \xHH (one byte), \u{…} (the
// UTF-8 of a character).

const SHORT = { r: "\r", n: "\n", t: "\t", 0: "\0", "\\": "\\" };
const ESCAPES = new Map(
  Object.entries(SHORT).map(([name, char]) => [char, `\\${name}`]),
);

// Controls, formats such as BOM and the marks that turn the direction of
// writing, code points without a character, and all blanks but the space.
const UNSEEN = /[\p{C}\p{Z}]/u;

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// How many bytes a character has that begins with this one.
function lengthOf(lead) {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

// One character of valid UTF-8 at `at`, or "" if there is none.
function character(bytes, at) {
  const lead = bytes[at];
  // Most are ASCII, and to call a decoder for each takes its time.
  if (lead < 0x80) {
    return String.fromCharCode(lead);
  }
  try {
    // Short of bytes, or wrong: `strict` throws for both.
    return strict.decode(bytes.subarray(at, at + lengthOf(lead)));
  } catch {
    return "";
  }
}

// The pieces of the notation: text, and whether it is an escape. `lineFeed` is
// what LF becomes; "\\n\n" shows it and also ends the line.
export function* pieces(bytes, lineFeed = "\n") {
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const char = character(bytes, at);
    let escape = "";
    if (char === "") {
      escape = `\\x${bytes[at].toString(16).toUpperCase().padStart(2, "0")}`;
    } else if (char === "\n") {
      escape = lineFeed;
    } else if (ESCAPES.has(char)) {
      escape = ESCAPES.get(char);
    } else if ((char < " " || char > "~") && UNSEEN.test(char)) {
      escape = `\\u{${char.codePointAt(0).toString(16).toUpperCase()}}`;
    }
    if (escape === "") {
      text += char;
    } else {
      if (text !== "") {
        yield { text, escape: false };
      }
      text = "";
      yield { text: escape, escape: true };
    }
    at += char === "" ? 1 : lengthOf(bytes[at]);
  }
  if (text !== "") {
    yield { text, escape: false };
  }
}

export function toNotation(bytes) {
  return Array.from(pieces(bytes), ({ text }) => text).join("");
}

// What cannot be read, and where: `index` counts UTF-16 code units from 0, as
// the selection of a text field does; line and column count from 1.
export class NotationError extends SyntaxError {
  constructor(message, text, index) {
    const before = text.slice(0, index).split("\n");
    const line = before.length;
    const column = before.at(-1).length + 1;
    super(`Line ${line}, column ${column}: ${message}`);
    this.name = "NotationError";
    Object.assign(this, { index, line, column });
  }
}

// A backslash and what belongs to it, or one character.
const TOKEN =
  /\\(?:x([\da-fA-F]{2})|u\{([\da-fA-F]{1,6})\}|([rnt0\\]))|\\[^]?|[^]/gu;

const KNOWN = "they are \\r \\n \\t \\0 \\\\ \\xHH \\u{H…}";

export function fromNotation(text) {
  const bytes = [];
  for (const match of text.matchAll(TOKEN)) {
    const { 0: token, 1: byte, 2: code, 3: short, index } = match;
    const fail = (why) => {
      throw new NotationError(why, text, index);
    };
    if (byte) {
      bytes.push(Number.parseInt(byte, 16));
      continue;
    }
    let char = token;
    if (code) {
      const point = Number.parseInt(code, 16);
      if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) {
        fail(`U+${code.toUpperCase()} is no character.`);
      }
      char = String.fromCodePoint(point);
    } else if (short) {
      char = SHORT[short];
    } else if (token.startsWith("\\")) {
      fail(`${token} is no escape: ${KNOWN}.`);
    } else if (/\p{Cs}/u.test(token)) {
      fail("half of a surrogate pair has no UTF-8.");
    }
    bytes.push(...utf8(char));
  }
  return Uint8Array.from(bytes);
}

export function utf8(text) {
  return encoder.encode(text);
}

// A string of chars U+0000 to U+00FF, one a byte, as the server writes bytes
// in JSON.
export function fromChars(chars) {
  return Uint8Array.from(chars, (char) => char.charCodeAt(0));
}

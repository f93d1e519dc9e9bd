// Bytes to notation and back.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import {
  NotationError,
  fromChars,
  fromNotation,
  pieces,
  toNotation,
  utf8,
} from "../../page/bytes.js";

const FIXTURES = new URL("../../../event-stream/fixtures/", import.meta.url);

function there_and_back(bytes) {
  const notation = toNotation(bytes);
  assert.deepEqual(fromNotation(notation), bytes, notation);
  return notation;
}

test("any bytes come back", () => {
  there_and_back(new Uint8Array());
  for (let first = 0; first < 256; first += 1) {
    there_and_back(Uint8Array.of(first));
    for (let second = 0; second < 256; second += 1) {
      there_and_back(Uint8Array.of(first, second));
      // What an escape might be taken for, behind and before.
      there_and_back(Uint8Array.of(0x5c, first, second));
      there_and_back(Uint8Array.of(first, second, 0x30, 0x41));
    }
  }
});

test("any character comes back, and so does any part of it", () => {
  for (let point = 0; point <= 0x10ffff; point += point < 0x3000 ? 1 : 97) {
    if (point >= 0xd800 && point <= 0xdfff) {
      continue;
    }
    const bytes = utf8(String.fromCodePoint(point));
    there_and_back(bytes);
    there_and_back(bytes.subarray(1));
    there_and_back(bytes.subarray(0, -1));
  }
});

test("so do random bytes", () => {
  // xorshift32, so that a failure can be repeated.
  let state = 0x5eed;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  for (let count = 0; count < 2_000; count += 1) {
    there_and_back(Uint8Array.from({ length: next() % 64 }, next));
  }
});

test("and all fixtures, which the server sends as chars", () => {
  for (const file of readdirSync(FIXTURES)) {
    const bytes = readFileSync(new URL(file, FIXTURES));
    there_and_back(new Uint8Array(bytes));
    const chars = bytes.toString("latin1");
    assert.deepEqual(fromChars(chars), new Uint8Array(bytes));
  }
});

test("what cannot be seen is shown", () => {
  const shown = (text) => toNotation(utf8(text));
  assert.equal(shown("data: \u00e9 \u{1F600}"), "data: \u00e9 \u{1F600}");
  assert.equal(shown("a\r\n\t\0\\"), "a\\r\n\\t\\0\\\\");
  assert.equal(
    shown("\uFEFF\u202E\u2028\u0085"),
    "\\u{FEFF}\\u{202E}\\u{2028}\\u{85}",
  );
  assert.equal(shown("\u00a0\u200b\u{E000}"), "\\u{A0}\\u{200B}\\u{E000}");
  assert.equal(toNotation(Uint8Array.of(0xef, 0xbb, 0x0a)), "\\xEF\\xBB\n");
  assert.equal(toNotation(Uint8Array.of(0xc0, 0x80, 0xff)), "\\xC0\\x80\\xFF");
});

test("pieces tell escapes from text", () => {
  assert.deepEqual(
    [...pieces(utf8("a\r\nb"), "\\n\n")],
    [
      { text: "a", escape: false },
      { text: "\\r", escape: true },
      { text: "\\n\n", escape: true },
      { text: "b", escape: false },
    ],
  );
});

test("escapes of either case, and a line end for LF", () => {
  const bytes = [...fromNotation("\\xfF\\u{e9}\\u{0000E9}\\01\n\\\\n")];
  assert.deepEqual(
    bytes,
    [0xff, 0xc3, 0xa9, 0xc3, 0xa9, 0, 0x31, 0x0a, 0x5c, 0x6e],
  );
});

for (const [text, line, column, message] of [
  ["data: \\q", 1, 7, /\\q is no escape/],
  ["a\nb\\", 2, 2, /\\ is no escape/],
  ["\\x4", 1, 1, /\\x is no escape/],
  ["\\xG0", 1, 1, /\\x is no escape/],
  ["\\u0041", 1, 1, /\\u is no escape/],
  ["\\u{}", 1, 1, /\\u is no escape/],
  ["\\u{110000}", 1, 1, /U\+110000 is no character/],
  ["\\u{d800}", 1, 1, /U\+D800 is no character/],
  ["\\X41", 1, 1, /\\X is no escape/],
  ["\\R", 1, 1, /\\R is no escape/],
  ["\\\n", 1, 1, /is no escape/],
  ["\u{1F600}\ud800", 1, 3, /surrogate/],
]) {
  test(`refused: ${JSON.stringify(text)}`, () => {
    assert.throws(() => fromNotation(text), (error) => {
      assert.ok(error instanceof NotationError);
      assert.match(error.message, message);
      assert.deepEqual([error.line, error.column], [line, column]);
      return true;
    });
  });
}

// The decoder of the page over all fixtures of `event-stream`, however cut.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Decoder } from "../../page/decode.js";

const FIXTURES = new URL("../../../event-stream/fixtures/", import.meta.url);

const fixtures = readdirSync(FIXTURES)
  .filter((file) => file.endsWith(".sse"))
  .map((file) => {
    const name = file.slice(0, -".sse".length);
    const lines = readFileSync(new URL(`${name}.jsonl`, FIXTURES), "utf8");
    return {
      name,
      stream: new Uint8Array(readFileSync(new URL(file, FIXTURES))),
      expected: lines
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    };
  });

const utf8 = (text) => new TextEncoder().encode(text);

function items(chunks, options) {
  const decoder = new Decoder(options);
  return chunks.flatMap((chunk) => decoder.decode(chunk));
}

test("there are fixtures", () => {
  assert.ok(fixtures.length >= 100, `${fixtures.length} fixtures`);
});

for (const { name, stream, expected } of fixtures) {
  test(`${name}: whole, byte by byte, cut at every point`, () => {
    const check = (chunks, cut) =>
      assert.deepEqual(items(chunks), expected, `${name}, ${cut}`);
    check([stream], "whole");
    check([...stream].map((byte) => Uint8Array.of(byte)), "byte by byte");
    const none = new Uint8Array();
    for (let at = 0; at <= stream.length; at += 1) {
      const [front, back] = [stream.subarray(0, at), stream.subarray(at)];
      check([front, none, back], `cut at ${at}`);
    }
  });
}

test("an event comes with the byte that completes it", () => {
  const decoder = new Decoder();
  const counts = [..."data: a\r\r\n: b\r\ndata\n\n"].map(
    (byte) => decoder.decode(utf8(byte)).length,
  );
  // The second CR is the blank line; the LF after it belongs to that CR.
  assert.deepEqual(
    counts.flatMap((count, at) => (count ? [at] : [])),
    [8, 13, 20],
  );
});

test("the last event ID outlives a connection, not half a block", () => {
  const decoder = new Decoder({ lastEventId: "7" });
  const [event] = decoder.decode(utf8("data: a\n\nid: 8\ndata: b\n"));
  assert.equal(event.id, "7");
  assert.equal(decoder.lastEventId, "7");
  assert.equal(decoder.decode(utf8("\n"))[0].id, "8");
  assert.equal(decoder.lastEventId, "8");
});

test("what had begun and did not end can be seen", () => {
  for (const [stream, isUnfinished] of [
    ["", false],
    ["\n", false],
    ["data: a\n\n", false],
    ["data: a\r\r", false],
    ["data: a\r\n\r", false],
    ["id: 1\n\n", false],
    [": comment", false],
    [": comment\n", false],
    ["retry: 1\n", false],
    ["unknown\n", false],
    ["\uFEFF", false],
    ["data: a\n", true],
    ["data: a\r", true],
    ["data: a", true],
    ["d", true],
    ["data: a\n\nid: 7\n", true],
    ["data: a\n\nevent: b\n", true],
    ["data: a\n: comm", true],
  ]) {
    for (const size of [1, 2, 3, 100]) {
      const decoder = new Decoder();
      const bytes = utf8(stream);
      for (let at = 0; at < bytes.length; at += size) {
        decoder.decode(bytes.subarray(at, at + size));
      }
      assert.equal(decoder.isUnfinished, isUnfinished, stream);
    }
  }
});

test("an event of the limit's length passes, a longer one does not", () => {
  // The line counts while it is read, whatever its field.
  const line = utf8("data: 12\n\n");
  assert.equal(items([line], { maxBuffer: 8 }).length, 1);
  assert.throws(() => items([line], { maxBuffer: 7 }), RangeError);
  const two = utf8("data:1\ndata:2\n\n");
  assert.equal(items([two], { maxBuffer: 7 }).length, 1);
  assert.throws(() => items([two], { maxBuffer: 6 }), RangeError);
  const all = utf8("event:e\nid:1\ndata:2\n\n");
  assert.equal(items([all], { maxBuffer: 8 }).length, 1);
  assert.throws(() => items([all], { maxBuffer: 7 }), RangeError);
});

test("the limit counts nothing that is gone", () => {
  const many = utf8(": comment\nnobody: knows\ndata: a\n\n".repeat(1000));
  assert.equal(items([many], { maxBuffer: 16 }).length, 2000);
});

test("what came before the limit is given out; after it, nothing is", () => {
  const decoder = new Decoder({ maxBuffer: 10 });
  const items = decoder.decode(utf8("data: a\n\ndata: 12345\n\n: b\n"));
  assert.deepEqual(
    items.map((item) => item.data),
    ["a"],
  );
  for (const chunk of [utf8("\n\n"), utf8("data: a\n\n"), utf8("")]) {
    assert.throws(() => decoder.decode(chunk), /larger than 10 UTF-16 code/);
  }
});

// Of 8 MiB in 32,768 pieces: if each piece had the line searched or copied
// again, that would be 128 GiB, and this would not end.
test("a line may come in any number of pieces", () => {
  const decoder = new Decoder();
  const piece = new Uint8Array(256).fill(0x61);
  decoder.decode(utf8("data: "));
  for (let count = 0; count < 32_768; count += 1) {
    decoder.decode(piece);
  }
  const [event] = decoder.decode(utf8("\n\n"));
  assert.equal(event.data.length, 256 * 32_768);
});

// The reader's states and rows, told by an EventSource that is none.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seconds } from "../../page/dom.js";
import { Reader, TYPES, sourceUrl } from "../../page/reader.js";
import { isSameServer, isTrusted, otherName } from "../../page/reader.js";
import { shortName } from "../../page/reader.js";
import { Tail } from "../../page/tail.js";
import { fakeEventSource } from "./fake.mjs";

const URL_ = "http://127.0.0.1:9005/events";

function reader(options) {
  const EventSource = fakeEventSource();
  const clock = { now: 0 };
  const reader = new Reader({ EventSource, now: () => clock.now, ...options });
  return { EventSource, clock, reader };
}

const data = ({ rows }) => rows.view.map((row) => row.data);

test("closed, connecting, open, closed", () => {
  const told = [];
  const { EventSource, reader: it } = reader({ tell: (row) => told.push(row) });
  assert.equal(it.state, "closed");
  it.connect(URL_);
  assert.equal(it.state, "connecting");
  assert.equal(EventSource.last.url, URL_);
  EventSource.last.open();
  assert.equal(it.state, "open");
  EventSource.last.event("a", "1");
  it.close();
  assert.equal(it.state, "closed");
  assert.equal(EventSource.last.readyState, EventSource.CLOSED);
  assert.equal(it.wasRefused, false);
  assert.deepEqual(
    told.map((row) => row?.data ?? null),
    [null, null, "a", null],
  );
});

test("every type that it listens to is a row, and no other", () => {
  const { EventSource, reader: it } = reader();
  it.connect(URL_);
  TYPES.forEach((type, at) => EventSource.last.event(type, `${at}`, type));
  EventSource.last.event("unheard", "9", "other");
  assert.deepEqual(data(it), TYPES);
  assert.equal(it.events, TYPES.length);
  assert.equal(it.lastEventId, `${TYPES.length - 1}`);

  assert.equal(it.listen("other"), true);
  assert.equal(it.listen("other"), false);
  EventSource.last.event("heard", "10", "other");
  assert.deepEqual(it.rows.view.at(-1), {
    ...{ type: "other", data: "heard", lastEventId: "10", size: 5 },
    number: TYPES.length + 1,
  });
  // The next connection listens to it as well.
  it.connect(URL_);
  EventSource.last.event("again", "1", "other");
  assert.deepEqual(data(it), ["again"]);
});

test("types are bounded", () => {
  const { reader: it } = reader();
  for (let count = 0; count < 100; count += 1) {
    it.listen(`type-${count}`);
  }
  assert.equal(it.types.size, 32);
});

test("away, attempt after attempt, and back", () => {
  const { EventSource, clock, reader: it } = reader();
  it.connect(URL_);
  EventSource.last.open();
  assert.equal(it.away, null);
  clock.now = 1_000;
  EventSource.last.lose();
  assert.equal(it.state, "connecting");
  clock.now = 4_000;
  EventSource.last.lose();
  clock.now = 6_500;
  assert.equal(it.away, 5_500);
  EventSource.last.open();
  assert.equal(it.away, null);
  assert.equal(it.wasAway, 5_500);
  assert.equal(it.reconnections, 1);
  assert.equal(it.state, "open");
});

test("a refusal is final, and can be tried again", () => {
  const { EventSource, reader: it } = reader();
  it.connect(URL_);
  EventSource.last.refuse();
  assert.equal(it.state, "closed");
  assert.equal(it.wasRefused, true);
  assert.equal(it.away, null);
  it.connect(URL_);
  assert.equal(it.wasRefused, false);
  assert.equal(EventSource.all.length, 2);
});

test("events named open and error are not the connection's", () => {
  const { EventSource, reader: it } = reader();
  it.listen("open");
  it.listen("error");
  it.connect(URL_);
  EventSource.last.event("o", "1", "open");
  assert.equal(it.state, "connecting");
  EventSource.last.open();
  EventSource.last.event("e", "2", "error");
  assert.equal(it.state, "open");
  assert.deepEqual(data(it), ["o", "e"]);
  assert.equal(it.events, 2);
});

test("the event source before is closed, and not heard", () => {
  const { EventSource, reader: it } = reader();
  it.connect(URL_);
  const before = EventSource.last;
  it.connect(URL_);
  assert.equal(before.readyState, EventSource.CLOSED);
  before.event("late", "1");
  before.open();
  before.lose();
  assert.deepEqual(data(it), []);
  assert.equal(it.state, "connecting");
  assert.equal(it.opened, 0);
  EventSource.last.event("a");
  it.close();
  EventSource.last.event("late");
  assert.equal(it.events, 1);
});

test("a page that wakes with a dead stream opens another", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let day = 1e12;
  const time = () => day;
  const { EventSource, reader: it } = reader({ time });
  it.connect(URL_, { goesOn: true });
  // Nothing is open yet: the browser is at it.
  day += 100_000;
  it.wake();
  assert.equal(EventSource.all.length, 1);
  EventSource.last.open();
  EventSource.last.event("a", "7");
  day += 44_999;
  it.wake();
  assert.equal(EventSource.all.length, 1);
  // Something came: it lives, and is looked at later.
  EventSource.last.event("b", "8");
  day += 1;
  t.mock.timers.tick(1);
  assert.equal(EventSource.all.length, 1);
  day += 44_999;
  t.mock.timers.tick(44_999);
  assert.equal(EventSource.all.length, 2);
  assert.equal(EventSource.all[0].readyState, EventSource.CLOSED);
  assert.equal(EventSource.last.url, `${URL_}?lastEventId=8`);
  assert.equal(it.state, "connecting");
  assert.notEqual(it.away, null);
  EventSource.last.open();
  EventSource.last.event("c", "9");
  assert.deepEqual(data(it), ["a", "b", "c"]);
  assert.equal(it.reconnections, 1);

  // Of another server nobody knows how it goes on.
  it.connect(URL_);
  EventSource.last.open();
  EventSource.last.event("a", "7");
  day += 3_600_000;
  it.wake();
  assert.equal(EventSource.last.url, URL_);
  assert.equal(it.state, "connecting");
  // What is closed stays closed.
  const { length } = EventSource.all;
  it.close();
  day += 3_600_000;
  it.wake();
  t.mock.timers.tick(3_600_000);
  assert.equal(EventSource.all.length, length);
});

test("the last 500 rows are kept, and all are counted", () => {
  const { EventSource, reader: it } = reader();
  it.connect(URL_);
  for (let count = 1; count <= 1_200; count += 1) {
    EventSource.last.event(`${count}`, `${count}`);
  }
  assert.equal(it.events, 1_200);
  assert.equal(it.rows.view.length, 500);
  assert.equal(it.rows.view[0].data, "701");
  assert.equal(it.rows.view[0].number, 701);
});

test("while it is held, the view stands still and nothing is lost", () => {
  const { EventSource, reader: it } = reader({ rows: 3 });
  it.connect(URL_);
  const event = (text) => EventSource.last.event(text, text);
  event("a");
  it.rows.hold();
  ["b", "c"].forEach(event);
  assert.deepEqual(data(it), ["a"]);
  assert.equal(it.rows.waiting, 2);
  assert.equal(it.events, 3);
  assert.equal(it.lastEventId, "c");
  ["d", "e"].forEach(event);
  it.rows.release();
  assert.deepEqual(data(it), ["c", "d", "e"]);
  assert.equal(it.rows.waiting, 0);
});

test("a row holds only so much", () => {
  const { EventSource, reader: it } = reader();
  it.connect(URL_);
  EventSource.last.event("x".repeat(1_000_000));
  const [row] = it.rows.view;
  assert.equal(row.data.length, 4_000);
  assert.equal(row.size, 1_000_000);
});

test("nor more of an ID or a type, and the ID itself is whole", () => {
  const { EventSource, reader: it } = reader();
  const long = "y".repeat(100_000);
  it.listen(long);
  it.connect(URL_);
  EventSource.last.event("x", long, long);
  const [row] = it.rows.view;
  const cut = `${"y".repeat(200)}… (100000 in all)`;
  assert.deepEqual([row.type, row.lastEventId, row.size], [cut, cut, 1]);
  assert.equal(it.lastEventId, long);
  assert.equal(shortName("y".repeat(200)), "y".repeat(200));
});

test("rows are bounded by their weight, and the newest is always kept", () => {
  const tail = new Tail(10, ({ text }) => text.length);
  const texts = () => tail.view.map(({ text }) => text);
  ["aaaa", "bbbb", "cc"].forEach((text) => tail.push({ text }));
  assert.deepEqual(texts(), ["aaaa", "bbbb", "cc"]);
  tail.push({ text: "d" });
  assert.deepEqual(texts(), ["bbbb", "cc", "d"]);
  tail.push({ text: "e".repeat(99) });
  assert.deepEqual(texts(), ["e".repeat(99)]);
  tail.push({ text: "f" });
  assert.deepEqual(texts(), ["f"]);
  tail.hold();
  tail.push({ text: "g" });
  tail.clear();
  assert.deepEqual(texts(), []);
  assert.equal(tail.count, 7);
});

test("a new connection is not held, and nothing waits for it", () => {
  const { EventSource, reader: it } = reader();
  it.connect(URL_);
  EventSource.last.event("a");
  it.rows.hold();
  EventSource.last.event("b");
  it.connect(URL_);
  assert.deepEqual([it.rows.isHeld, it.rows.waiting], [false, 0]);
  EventSource.last.event("c");
  assert.deepEqual(data(it), ["c"]);
});

test("only this machine is read from", () => {
  const base = "http://127.0.0.1:9005/";
  const href = (text) => sourceUrl(text, base).href;
  assert.equal(href(" events "), URL_);
  assert.equal(href("/events?reader=a#b"), `${URL_}?reader=a`);
  assert.equal(
    href("http://localhost:9001/events"),
    "http://localhost:9001/events",
  );
  for (const other of [
    "http://example.org/events",
    "https://127.0.0.1:9005/events",
    "http://127.0.0.1.example.org/",
    "http://[::1]:9005/events",
    "http://127.0.0.1@example.org/",
    "//example.org/",
    "javascript:alert(1)",
    "data:text/event-stream,data",
    "file:///etc/passwd",
  ]) {
    assert.throws(() => sourceUrl(other, base), /this machine only/, other);
  }
  assert.throws(() => sourceUrl("http://", base), /is no address/);
});

test("so is the page's own server, by any name", () => {
  for (const own of ["http://[::1]:9005/", "https://home.example/book/"]) {
    assert.equal(sourceUrl("events", own).href, `${own}events`);
    const { host } = new URL(own);
    for (const other of [`ftp://${host}/`, `blob:${own}`, "http://[::1]:1/"]) {
      assert.throws(() => sourceUrl(other, own), /this machine only/, other);
    }
  }
});

test("a password is not read, and not repeated", () => {
  for (const text of [
    "http://user:secret@127.0.0.1:9005/",
    "http://secret@localhost:9005/",
    "http://:secret@127.0.0.1:9005/",
    "http://user:secret@example.org/",
    "http://user:secret@127.0.0.1:x/",
  ]) {
    assert.throws(
      () => sourceUrl(text, "http://127.0.0.1:9005/"),
      ({ message }) => message !== "" && !message.includes("secret"),
      text,
    );
  }
});

test("the other name of this machine", () => {
  const other = (url) => otherName(url).href;
  assert.equal(other("http://127.0.0.1:9005/e"), "http://localhost:9005/e");
  assert.equal(other("http://localhost:9005/e"), "http://127.0.0.1:9005/e");
});

test("what is read without being asked to", () => {
  const own = new URL("http://localhost:4321/events");
  for (const [text, isSame, isRead] of [
    ["http://localhost:4321/", true, true],
    ["http://127.0.0.1:4321/any", true, true],
    ["http://127.0.0.1:9001/events", false, true],
    ["http://localhost:9005/", false, true],
    ["http://127.0.0.1:9006/", false, false],
    ["http://127.0.0.1:80/", false, false],
    ["http://localhost:8080/delete?all", false, false],
  ]) {
    const url = sourceUrl(text, own);
    assert.equal(isSameServer(url, own), isSame, text);
    assert.equal(isTrusted(url, own), isRead, text);
  }
});

test("a time in words", () => {
  assert.equal(seconds(0), "0.0 s");
  assert.equal(seconds(2_500), "2.5 s");
  assert.equal(seconds(86_400_000), "86400 s");
  for (const ms of [86_400_001, 2 ** 64, Infinity]) {
    assert.equal(seconds(ms), "more than a day");
  }
});

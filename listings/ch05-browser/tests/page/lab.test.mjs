// The lab without a browser: what it posts, hears, waits for and compares.

import assert from "node:assert/strict";
import { test } from "node:test";
import { fromNotation, utf8 } from "../../page/bytes.js";
import { Decoder } from "../../page/decode.js";
import {
  LabError,
  candidates,
  differences,
  lastEventId,
  isWaitOther,
  reconnectionTime,
  run,
} from "../../page/lab.js";
import { fakeEventSource } from "./fake.mjs";

const BASE = "http://127.0.0.1:9005/lab.js";

// A lab's server, and a browser that reads what `read` makes of its stream.
function lab({ read = (bytes) => new Decoder().decode(bytes), back }) {
  const posts = [];
  let stream;
  const fetch = async (url, { method, headers, body }) => {
    posts.push({ url: url.href, method, headers });
    stream = body;
    const items = new Decoder().decode(body);
    const json = { url: "/lab/1d", items, error: null };
    return Response.json(json, { status: 201 });
  };
  const Fake = fakeEventSource();
  class EventSource extends Fake {
    constructor(url) {
      super(url);
      setTimeout(() => this.run());
    }

    run() {
      this.open();
      for (const { kind, type, data, id } of read(stream)) {
        if (kind === "event") {
          this.event(data, id, type);
        }
      }
      this.lose();
      if (back !== undefined && this.readyState !== Fake.CLOSED) {
        setTimeout(() => this.event(JSON.stringify(back), "", "back"));
      }
    }
  }
  return { posts, EventSource, fetch, base: BASE };
}

test("both the same: no difference, and the browser is closed", async () => {
  const options = lab({ back: { lastEventId: "2" } });
  const told = [];
  const bytes = utf8(": c\nid: 1\nevent: e\ndata: a\n\ndata: b\n\nid: 2\n\n");
  const result = await run(bytes, { ...options, tell: (it) => told.push(it) });
  assert.deepEqual(options.posts, [
    {
      url: "http://127.0.0.1:9005/lab",
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
    },
  ]);
  assert.equal(result.url, "http://127.0.0.1:9005/lab/1d");
  assert.equal(options.EventSource.last.url, result.url);
  assert.equal(options.EventSource.last.readyState, 2);
  assert.equal(result.ours.length, 4);
  assert.deepEqual(result.browsers, [
    { kind: "event", type: "e", data: "a", id: "1" },
    { kind: "event", type: "message", data: "b", id: "1" },
  ]);
  assert.equal(result.back.lastEventId, "2");
  assert.ok(result.back.after >= 0);
  assert.deepEqual(result.differences, []);
  assert.equal(told.length, 1);
  assert.equal(told[0].back, null);
  assert.deepEqual(told[0].browsers, result.browsers);
});

test("each difference is found", async () => {
  const read = () => [
    { kind: "event", type: "message", data: "a", id: "1" },
    { kind: "event", type: "message", data: "x", id: "9" },
    { kind: "event", type: "message", data: "more", id: "1" },
  ];
  const options = lab({ read, back: { lastEventId: null } });
  const bytes = utf8("id: 1\ndata: a\n\nevent: e\ndata: b\n\n");
  const { ours, browsers, differences: found } = await run(bytes, options);
  assert.deepEqual(found, [
    {
      event: 2,
      fields: ["type", "data", "id"],
      ours: ours[1],
      browser: browsers[1],
    },
    {
      event: 3,
      fields: ["type", "data", "id"],
      ours: null,
      browser: browsers[2],
    },
    { event: null, fields: ["lastEventId"], ours: "1", browser: null },
  ]);
});

test("nobody waits for the browser, or not for ever", async () => {
  const bytes = utf8("data: a\n\n");
  const closed = lab({ back: { lastEventId: null } });
  const result = await run(bytes, { ...closed, waitForBack: 0 });
  assert.equal(result.back, null);
  assert.equal(closed.EventSource.last.readyState, 2);
  assert.equal(result.browsers.length, 1);

  const late = await run(bytes, { ...lab({}), waitForBack: 20 });
  assert.deepEqual(late.back, { late: 20 });
  assert.deepEqual(late.differences, []);
});

test("a stream without an end, and one that is refused", async () => {
  const bytes = utf8("data: a\n\n");
  const options = lab({});
  options.EventSource.prototype.run = function () {
    this.open();
  };
  await assert.rejects(
    run(bytes, { ...options, waitForEnd: 20 }),
    /did not end within 20 ms/,
  );
  assert.equal(options.EventSource.last.readyState, 2);
  options.EventSource.prototype.run = function () {
    this.refuse();
  };
  await assert.rejects(run(bytes, options), /refused/);
});

test("a server that does not answer the browser is no difference", async () => {
  const options = lab({ back: { lastEventId: null } });
  options.EventSource.prototype.run = function () {
    // It tries again.
    this.lose();
  };
  const told = [];
  const tell = (compared) => told.push(compared);
  await assert.rejects(
    run(utf8("data: a\n\n"), { ...options, tell }),
    (error) =>
      error instanceof LabError && /did not answer/.test(error.message),
  );
  assert.deepEqual(told, []);
  assert.equal(options.EventSource.last.readyState, 2);
});

test("events called open, error and back are the stream's", async () => {
  const names = ["open", "error", "back", "error"];
  const stream = names.map((name) => `event: ${name}\ndata: ${name}\n\n`);
  const options = lab({ back: { lastEventId: null } });
  const result = await run(utf8(stream.join("")), options);
  assert.deepEqual(
    result.browsers.map(({ type }) => type),
    names,
  );
  assert.equal(result.back.lastEventId, null);
  assert.deepEqual(result.differences, []);
});

test("what the server refuses is said", async () => {
  const { EventSource } = lab({});
  const answer = (response) => ({
    EventSource,
    base: BASE,
    fetch: async () => response,
  });
  const problem = Response.json(
    { title: "Too Many Requests", detail: "Slower." },
    { status: 429, headers: { "Retry-After": "1" } },
  );
  await assert.rejects(run(utf8(""), answer(problem)), (error) => {
    assert.ok(error instanceof LabError);
    assert.equal(error.status, 429);
    assert.equal(error.retryAfter, "1");
    return error.message === "429: Slower.";
  });
  const text = new Response("no", { status: 502, statusText: "Bad Gateway" });
  await assert.rejects(run(utf8(""), answer(text)), /502: Bad Gateway/);
  const fetch = () => Promise.reject(new TypeError("fetch failed"));
  await assert.rejects(
    run(utf8(""), { EventSource, base: BASE, fetch }),
    /does not answer/,
  );
  assert.equal(EventSource.all.length, 0);
});

test("types that a reader may take for one, right or wrong", () => {
  const heard = (notation) => candidates(fromNotation(notation));
  for (const [notation, type] of [
    ["event:x\n", "x"],
    ["event: x\n", "x"],
    ["event: x\n", " x"],
    ["event:  x \n", " x "],
    ["event:  x \n", "x"],
    ["\\u{FEFF}event: x", "x"],
    ["\\u{FEFF}\\u{FEFF}event: x", "x"],
    ["event: \\u{FEFF}x\\r", "\uFEFFx"],
    ["event: \\u{FEFF}x\\r", "x"],
    ["event: a\\0b\n", "a\0b"],
    ["event: a\\0b\n", "a"],
    ["event: a\\u{2028}b\n", "a\u2028b"],
    ["event: a\\u{2028}b\n", "a"],
    ["event: a\\u{85}event: b\n", "b"],
    ["event: \\xC3\n", "\uFFFD"],
    ["Event: Ab\n", "Ab"],
    [" event : x\n", "x"],
    ["event: a\\revent: b\\r\nevent: c\nevent: d", "d"],
    ["", "message"],
  ]) {
    const types = [...heard(notation)];
    assert.ok(types.includes(type), `${notation}: ${JSON.stringify(types)}`);
  }
  // Whatever our decoder found is among them.
  assert.ok(candidates(utf8(""), [{ type: "odd" }]).has("odd"));
});

test("a wait that differs is a difference", () => {
  const retry = (ms) => ({ kind: "retry", ms });
  const huge = retry(18446744073709551615n);
  for (const [items, back, expected] of [
    // What Chromium makes of `retry: 500` and then `retry:`.
    [[retry(500)], { after: 3_004 }, true],
    // What it makes of a time past 64 bits.
    [[huge], { after: 3_004 }, true],
    [[huge], { late: 10_000 }, null],
    [[retry(500)], { after: 505 }, false],
    [[retry(500)], { after: 460 }, false],
    [[retry(500)], { after: 449 }, true],
    [[retry(30)], { after: 2_029 }, false],
    [[retry(30)], { after: 2_031 }, true],
    [[retry(9), retry(5_000)], { after: 5_100 }, false],
    [[retry(5_000)], { late: 10_000 }, true],
    [[retry(8_500)], { late: 10_000 }, null],
    [[], { after: 3_000 }, null],
    [[], { late: 10_000 }, null],
  ]) {
    const told = reconnectionTime(items);
    assert.equal(isWaitOther(told, back), expected, `${told} ${back.after}`);
    const all = { ours: items, browsers: [], back: { ...back } };
    if (back.late === undefined) all.back.lastEventId = null;
    const found = differences(all);
    const wait = { event: null, fields: ["wait"], ours: told };
    const isFound = expected === true;
    assert.deepEqual(found, isFound ? [{ ...wait, browser: all.back }] : []);
  }
});

test("a time is not rounded", async () => {
  const options = lab({ back: { lastEventId: null } });
  const text = '"ms":18446744073709551615 "ms":1';
  const items = [
    '{"kind":"retry","ms":18446744073709551615}',
    JSON.stringify({ kind: "comment", text }),
  ];
  const json = `{"url":"/lab/1d","items":[${items}],"error":null}`;
  const fetch = async () => new Response(json, { status: 201 });
  class EventSource extends options.EventSource {
    run() {
      this.open();
      this.lose();
    }
  }
  const { ours } = await run(utf8(""), {
    ...{ ...options, EventSource, fetch, waitForBack: 0 },
  });
  assert.deepEqual(ours, [
    { kind: "retry", ms: 18446744073709551615n },
    { kind: "comment", text },
  ]);
});

test("IDs that no header carries are not held against the browser", () => {
  const event = { kind: "event", type: "message", data: "x" };
  const browsers = [{ ...event, id: " 1 " }];
  const back = { lastEventId: "1" };
  assert.deepEqual(differences({ ours: browsers, browsers, back }), []);
});

test("the ID and the time that the stream leaves", () => {
  const items = (text) => new Decoder().decode(utf8(text));
  assert.equal(lastEventId(items("id: 1\ndata: a\n\nid: 2\n\nid: 3\n")), "2");
  assert.equal(lastEventId(items("id: 1\ndata: a\n\nid\n\n")), "");
  assert.equal(lastEventId(items(": only\n")), "");
  assert.equal(reconnectionTime(items("retry: 1\nretry: 2\n")), 2);
  assert.equal(reconnectionTime([]), null);
});

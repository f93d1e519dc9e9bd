// The stream reader of the page against servers that behave, and do not.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import util from "node:util";
import { Refused, fetchEvents } from "../../page/fetch-source.js";
import { Reconnection, judge, retryAfter } from "../../page/reconnection.js";

const HEAD = { "Content-Type": "text/event-stream" };

// A server whose n-th request is answered by the n-th of `answers`; after the
// last comes 204. `requests` is what was asked.
async function server(t, ...answers) {
  const requests = [];
  const http = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) {
      body += chunk;
    }
    const { method, headers } = request;
    const answer = answers[requests.length];
    requests.push({ method, headers, body, response });
    if (answer) {
      await answer(response);
    } else {
      response.writeHead(204).end();
    }
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => {
    http.closeAllConnections();
    http.close();
  });
  return { url: `http://127.0.0.1:${http.address().port}/`, requests };
}

const stream = (text) => (response) => response.writeHead(200, HEAD).end(text);

async function all(url, options) {
  const items = [];
  for await (const item of fetchEvents(url, options)) {
    items.push(item);
  }
  return items;
}

const kinds = (items) => items.map(({ kind }) => kind);
const test_ = (name, run) => test(name, { timeout: 30_000 }, run);

test_("reads, comes back with the ID, and ends at 204", async (t) => {
  const { url, requests } = await server(
    t,
    stream("retry: 1\n\nid: é\ndata: a\n\n: b\n"),
    stream("data: c\n\nid\n\n"),
  );
  const items = await all(url);
  assert.deepEqual(kinds(items), [
    ...["open", "bytes", "retry", "event", "comment", "lost"],
    ...["open", "bytes", "event", "id", "lost"],
  ]);
  // 1 ms was asked for.
  const { kind, ...lost } = items[5];
  assert.deepEqual(lost, { wait: 500, error: null, unfinished: false });
  // The ID of the first connection is that of the second, too.
  assert.deepEqual(items[8], {
    kind: "event",
    type: "message",
    data: "c",
    id: "é",
  });
  const asked = requests.map(({ headers }) => headers);
  assert.deepEqual(
    asked.map((headers) => headers["last-event-id"]),
    // Node gives the bytes of a header as Latin-1.
    [undefined, Buffer.from("é").toString("latin1"), undefined],
  );
  for (const headers of asked) {
    assert.equal(headers.accept, "text/event-stream");
    assert.equal(headers["cache-control"], "no-cache");
  }
});

test_("chunks are given as they come, cut or not", async (t) => {
  const bytes = Buffer.from("data: é\r\n\r\n");
  let next;
  const { url } = await server(t, async (response) => {
    response.writeHead(200, HEAD);
    for (const part of [bytes.subarray(0, 7), bytes.subarray(7)]) {
      const taken = new Promise((resolve) => (next = resolve));
      response.write(part);
      await taken;
    }
    response.end();
  });
  const seen = [];
  const events = [];
  for await (const item of fetchEvents(url, { reconnect: false })) {
    if (item.kind === "bytes") {
      seen.push(...item.bytes);
      next();
    } else if (item.kind === "event") {
      events.push(item.data);
    }
  }
  assert.deepEqual(Buffer.from(seen), bytes);
  assert.deepEqual(events, ["é"]);
});

test_("an ID that a header cannot carry is kept, and not sent", async (t) => {
  for (const [id, sent] of [
    [" 1", undefined],
    ["1 ", undefined],
    ["a\tb", "a\tb"],
    ["a\u0001b", undefined],
    ["\u007f", undefined],
    ["1", "1"],
    ["x".repeat(4096), "x".repeat(4096)],
    ["x".repeat(4097), undefined],
  ]) {
    const { url, requests } = await server(t);
    await all(url, { lastEventId: id });
    assert.equal(requests[0].headers["last-event-id"], sent, id);
  }
  const { url, requests } = await server(t, stream("retry:0\nid:1\ndata\n\n"));
  await all(url, { sendLastEventId: false });
  assert.equal(requests[1].headers["last-event-id"], undefined);
});

test_("method, header fields and body; a POST is sent once", async (t) => {
  const { url, requests } = await server(t, stream("data: a\n\n"));
  const headers = { Authorization: "Bearer token" };
  const items = await all(url, { method: "POST", headers, body: "question" });
  assert.deepEqual(kinds(items), ["open", "bytes", "event", "end"]);
  assert.equal(requests.length, 1);
  assert.equal(requests[0].method, "POST");
  assert.equal(requests[0].body, "question");
  assert.equal(requests[0].headers.authorization, "Bearer token");

  const twice = await server(t, stream("retry: 0\n\nid: 1\n\n"));
  const again = { method: "POST", body: "question", reconnect: true };
  await all(twice.url, again);
  assert.deepEqual(
    twice.requests.map(({ body }) => body),
    ["question", "question"],
  );
});

test_("a form is encoded once, as its Content-Type says", async (t) => {
  const { url, requests } = await server(t, stream("retry: 0\n\n"));
  const body = new FormData();
  body.set("name", "value");
  await all(url, { method: "POST", body, reconnect: true });
  assert.equal(requests.length, 2);
  for (const { headers, body } of requests) {
    const [, boundary] = headers["content-type"].split("boundary=");
    assert.ok(body.startsWith(`--${boundary}\r\n`), body);
  }
});

test_("a refusal is final, and says what it was", async (t) => {
  for (const [status, fields, body, message] of [
    [404, {}, "", "status 404, not 200"],
    [
      ...[500, {}, "<h1>\n  \x1b[2J\u202e</h1>\r\n"],
      "status 500, not 200; it says: <h1>   \\u{1b}[2J\\u{202e}</h1>",
    ],
    [
      ...[429, { "Retry-After": "7" }, "é"],
      "status 429, not 200, and Retry-After: 7s; it says: é",
    ],
  ]) {
    const { url, requests } = await server(t, (response) =>
      response.writeHead(status, { ...HEAD, ...fields }).end(body),
    );
    await assert.rejects(all(url), (error) => {
      assert.ok(error instanceof Refused);
      assert.equal(error.message, `the server answered with ${message}`);
      assert.deepEqual([error.status, error.body], [status, body]);
      assert.equal(error.retryAfter, fields["Retry-After"] ? 7_000 : null);
      return true;
    });
    assert.equal(requests.length, 1);
  }
});

test_("the first of a body is kept, and what comes in time", async (t) => {
  const long = await server(t, (response) =>
    response.writeHead(400, HEAD).end("é".repeat(10_000)),
  );
  const odd = await server(t, (response) =>
    response.writeHead(400, HEAD).end(`x${"é".repeat(600)}`),
  );
  for (const [{ url }, kept] of [
    [long, "é".repeat(512)],
    // A character is not cut.
    [odd, `x${"é".repeat(511)}`],
  ]) {
    await assert.rejects(all(url), ({ body }) => body === kept);
  }
  const { setTimeout: wait } = globalThis;
  t.mock.method(globalThis, "setTimeout", (run, ms, ...rest) =>
    wait(run, ms === 5_000 ? 100 : ms, ...rest),
  );
  const slow = await server(t, (response) =>
    response.writeHead(503, HEAD).write("come back"),
  );
  await assert.rejects(all(slow.url), /503, not 200; it says: come back$/);
});

// What makes a head one of an event stream: the clients in Rust agree.
const HEADS = [
  [["Content-Type: text/event-stream"], null],
  [["content-TYPE:Text/Event-Stream ;charset=x"], null],
  [["Content-Type: text/html", "Content-Type: text/event-stream"], null],
  [["Content-Type: text/html, text/event-stream"], null],
  [["Content-Type: text/event-stream", "Content-Type:"], null],
  [["Content-Type: text/event-stream, */*"], null],
  [
    ['Content-Type: a/b;c="x, text/html", text/event-stream;d="e, f/g"'],
    null,
  ],
  [
    ["Content-Type: text/event-stream", "Content-Type: text/html"],
    'the Content-Type is "text/event-stream, text/html", not ' +
      '"text/event-stream"',
  ],
  [
    ["Content-Type: text/plain; text/event-stream"],
    'the Content-Type is "text/plain; text/event-stream", not ' +
      '"text/event-stream"',
  ],
  [
    ["Content-Type: text/event-streams"],
    'the Content-Type is "text/event-streams", not "text/event-stream"',
  ],
  [[], 'the Content-Type is "", not "text/event-stream"'],
  ...["none", "", "Identity", "identity, NONE", ", ,"].map((coding) => [
    ["Content-Type: text/event-stream", `Content-Encoding: ${coding}`],
    null,
  ]),
  ...["gzip", "identity, gzip", "none,\tgzip"].map((coding) => [
    ["Content-Type: text/event-stream", `Content-Encoding: ${coding}`],
    'the body has the content coding "gzip", which was not asked for',
  ]),
  [
    [
      "Content-Type: text/event-stream",
      "Content-Encoding: identity",
      "Content-Encoding: BR",
    ],
    'the body has the content coding "BR", which was not asked for',
  ],
  [
    ["Content-Type: text/event-stream", "Transfer-Encoding: gzip, chunked"],
    'the Transfer-Encoding is "gzip, chunked"; only "chunked" can be read',
  ],
  [
    ["Content-Type: text/event-stream", "Transfer-Encoding: chunked, Chunked"],
    null,
  ],
];

test("a head is read as HTTP says", () => {
  for (const [fields, failure] of HEADS) {
    const headers = new Headers(fields.map((field) => field.split(/:(.*)/, 2)));
    const head = { status: 200, headers };
    assert.equal(judge(head, false), failure, String(fields));
    // A browser has taken the coding off.
    const isCoded = failure?.startsWith("the body has");
    assert.equal(judge(head, true), isCoded ? null : failure, String(fields));
  }
});

test("Retry-After is a time, or a date behind the response's own", () => {
  const date = "Sun, 06 Nov 1994 08:49:37 GMT";
  for (const [value, own, ms] of [
    ["7", date, 7_000],
    ["0", null, 0],
    ["Sun, 06 Nov 1994 08:50:07 GMT", date, 30_000],
    ["Sun, 06 Nov 1994 08:49:07 GMT", date, 0],
    [date, null, null],
    ["-1", date, null],
    ["1.5", date, null],
    ["soon", date, null],
    [null, date, null],
  ]) {
    const headers = new Headers();
    if (value !== null) headers.set("Retry-After", value);
    if (own !== null) headers.set("Date", own);
    assert.equal(retryAfter(headers), ms, value);
  }
});

test_("a status that the caller chose is no end", async (t) => {
  const deploy = (response) =>
    response.writeHead(503, { "Retry-After": "1" }).end("a new one comes");
  t.mock.method(Math, "random", () => 0);
  const { url } = await server(t, stream("retry: 0\ndata: a\n\n"), deploy);
  const items = await all(url, { retryOn: [502, 503] });
  assert.deepEqual(kinds(items).slice(-2), ["lost", "lost"]);
  const { error, wait } = items.at(-1);
  assert.ok(error instanceof Refused);
  assert.equal(error.body, "a new one comes");
  assert.equal(wait, 1_000);
  // Within the bounds; and never more than once what does something.
  const busy = (response) =>
    response.writeHead(429, { "Retry-After": "9".repeat(20) }).end();
  const post = { method: "POST", retryOn: [429] };
  await assert.rejects(all((await server(t, busy)).url, post), Refused);
  const far = await server(t, busy);
  const abort = new AbortController();
  const { signal } = abort;
  for await (const item of fetchEvents(far.url, { signal, retryOn: [429] })) {
    assert.equal(item.wait, 60 * 60 * 1000);
    abort.abort();
  }
});

test_("parameters and case of the Content-Type do not count", async (t) => {
  const { url } = await server(t, (response) =>
    response
      .writeHead(200, { "Content-Type": "Text/Event-Stream ; charset=utf-16" })
      .end("data: é\n\n"),
  );
  const [, , event] = await all(url, { reconnect: false });
  assert.equal(event.data, "é");
});

test_("an event that is too large is final", async (t) => {
  const { url, requests } = await server(t, stream("data: 12345678\n\n"));
  await assert.rejects(all(url, { maxBuffer: 10 }), RangeError);
  assert.equal(requests.length, 1);
});

test_("an event that is too large is told after those before it", async (t) => {
  const both = "retry: 0\n\ndata: a\n\ndata: 12345678";
  const holds = (response) => response.writeHead(200, HEAD).write(both);
  const breaks = (response) =>
    response
      .writeHead(200, HEAD)
      .write(both, () => setTimeout(() => response.destroy(), 50));
  for (const answer of [stream(both), holds, breaks]) {
    const { url, requests } = await server(t, answer);
    const items = [];
    await assert.rejects(async () => {
      for await (const item of fetchEvents(url, { maxBuffer: 10 })) {
        items.push(item);
      }
    }, RangeError);
    assert.deepEqual(kinds(items), ["open", "bytes", "retry", "event"]);
    assert.equal(requests.length, 1);
  }
});

test_("a wrong option is thrown at once", async (t) => {
  const { url, requests } = await server(t);
  for (const wrong of [
    url.replace("http", "ftp"),
    url.replace("//", "//user:password@"),
    new URL(url.replace("//", "//user@")),
    "data:text/event-stream,data",
    new Request(url),
  ]) {
    await assert.rejects(all(wrong), (error) => {
      assert.ok(error instanceof TypeError, String(wrong));
      return !/password@/.test(util.inspect(error));
    });
  }
  // Its `signal` was meant.
  await assert.rejects(all(url, { signal: new AbortController() }), TypeError);
  assert.equal(requests.length, 0);
  await assert.rejects(all("no url"), TypeError);
  const headers = { "no header": "" };
  await assert.rejects(all("http://127.0.0.1/", { headers }), TypeError);
});

test_("null is as if absent", async (t) => {
  const { url, requests } = await server(t, stream("data: a\n\n"));
  const items = await all(url, { signal: null, lastEventId: null });
  assert.deepEqual(kinds(items), ["open", "bytes", "event", "lost"]);
  assert.equal(items[2].id, "");
  assert.equal(requests[0].headers["last-event-id"], undefined);
});

test_("a URL may be an object", async (t) => {
  const { url, requests } = await server(t);
  await all(new URL(url));
  assert.equal(requests.length, 1);
});

test_("a server that is not there is tried again, ever later", async (t) => {
  const { url } = await server(t);
  const abort = new AbortController();
  let calls = 0;
  const fetch = () => {
    calls += 1;
    return Promise.reject(new TypeError("fetch failed"));
  };
  // Time does not pass: the wait itself is what is looked at.
  const waits = [];
  t.mock.method(globalThis, "setTimeout", (run, ms) => {
    queueMicrotask(run);
    return ms;
  });
  t.mock.method(Math, "random", () => 0.999);
  for await (const item of fetchEvents(url, { fetch, signal: abort.signal })) {
    waits.push(Math.round(item.wait / 1000));
    if (waits.length === 6) {
      abort.abort();
    }
  }
  assert.deepEqual(waits, [3, 6, 12, 24, 30, 30]);
  assert.equal(calls, 6);
});

// What it says, and then breaks.
const breaks = (text) => (response) =>
  response.writeHead(200, HEAD).write(text, () => response.destroy());

test_("what breaks is called ever later, an event is success", async (t) => {
  const dies = breaks("retry: 500\n\n");
  const { url } = await server(t, dies, dies, breaks("data\n\n"), dies);
  t.mock.method(Math, "random", () => 0.01);
  const items = await all(url);
  const waits = items.filter(({ kind }) => kind === "lost");
  // The second failure in a row is drawn from up to 2 s.
  assert.deepEqual(
    waits.map(({ wait }) => Math.round(wait)),
    [500, 515, 500, 515],
  );
});

test_("an orderly end is no failure, unless nothing came", async (t) => {
  const quiet = stream("retry: 500\n: still here\n\n");
  const empty = stream("");
  const { url } = await server(t, quiet, quiet, quiet, empty, empty, quiet);
  t.mock.method(Math, "random", () => 0.01);
  const items = await all(url);
  const lost = items.filter(({ kind }) => kind === "lost");
  assert.deepEqual(
    lost.map(({ wait }) => Math.round(wait)),
    [500, 500, 500, 515, 535, 500],
  );
  assert.ok(lost.every(({ error }) => error === null));
});

test("so is one that stayed open for three seconds", () => {
  const rules = new Reconnection({ lastEventId: "" });
  rules.lost(0);
  for (const [opened, over, isGood] of [
    [0, 2_999, false],
    [5_000, 8_000, true],
    [10_000, 310_000, true],
  ]) {
    rules.open(opened);
    assert.equal(rules.lost(over) === 3_000, isGood);
  }
});

test_("an event that had begun is dropped, and told of", async (t) => {
  const half = stream("retry: 0\ndata: a\n\ndata: b\n");
  const { url } = await server(t, half, stream("data: c\n\n: com"));
  const lost = (await all(url)).filter(({ kind }) => kind === "lost");
  assert.deepEqual(
    lost.map(({ error, unfinished }) => [error, unfinished]),
    [
      [null, true],
      [null, false],
    ],
  );
  const post = await server(t, half);
  const end = (await all(post.url, { method: "POST" })).at(-1);
  assert.deepEqual(end, { kind: "end", unfinished: true });
});

test_("the wait has a floor and a ceiling, and is told as it is", async (t) => {
  const hour = 60 * 60 * 1000;
  for (const [retry, wait, bounds = {}] of [
    [0, 500],
    [499, 500],
    [501, 501],
    [3_000_000_000, hour],
    ["9".repeat(30), hour],
    [0, 20, { minWait: 20 }],
    [5_000, 1_000, { maxWait: 1_000 }],
    [5_000, 7_000, { minWait: 7_000, maxWait: 1_000 }],
    // No timer is longer.
    ["9".repeat(30), 2 ** 31 - 1, { maxWait: Infinity }],
  ]) {
    // Each event is a success.
    const { url } = await server(t, stream(`retry: ${retry}\ndata\n\n`));
    const abort = new AbortController();
    const { signal } = abort;
    for await (const item of fetchEvents(url, { signal, ...bounds })) {
      if (item.kind === "lost") {
        assert.equal(item.wait, wait);
        abort.abort();
      }
    }
    assert.ok(signal.aborted);
  }
});

test_("what time cannot mend is final", async (t) => {
  const broken = [
    "nonsense\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" +
      "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
  ];
  for (const bytes of broken) {
    const { url, requests } = await server(t, (response) =>
      response.socket.end(bytes),
    );
    await assert.rejects(all(url), ({ cause }) => /^HPE_/.test(cause.code));
    assert.equal(requests.length, 1, bytes);
  }
  // A mistake in a program is none of the network's, whose errors are
  // TypeErrors, too.
  const { url } = await server(t);
  const mistakes = [
    { fetch: "no function" },
    { fetch: () => undefined },
    { fetch: () => Promise.reject(new ReferenceError("undefined")) },
    { fetch: async () => ({}) },
    { headers: { "no header": "" } },
    { headers: () => undefined.token },
    { headers: async () => Promise.reject(new TypeError("no token")) },
  ];
  for (const mistake of mistakes) {
    await assert.rejects(all(url, mistake), /./, util.inspect(mistake));
  }
});

test_("so is a browser that lacks what this needs", async (t) => {
  const { url } = await server(t, stream("data: a\n\n"));
  for (const name of ["AbortController", "Headers", "TextDecoder", "fetch"]) {
    const had = globalThis[name];
    globalThis[name] = undefined;
    try {
      await assert.rejects(all(url), (error) => {
        return !(error instanceof Refused) && error instanceof TypeError;
      });
    } finally {
      globalThis[name] = had;
    }
  }
});

test_("so is what is thrown into the generator", async (t) => {
  const { url, requests } = await server(t, stream("data: a\n\n"));
  const items = fetchEvents(url);
  await items.next();
  await assert.rejects(items.throw(new TypeError("a slip")), /a slip/);
  assert.equal(requests.length, 1);
});

test_("a chunk that breaks behind what was good is tried again", async (t) => {
  const { url } = await server(t, (response) => {
    const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n";
    const type = "Content-Type: text/event-stream\r\n\r\n";
    const { socket } = response;
    socket.write(`${head}${type}12\r\nretry: 0\ndata: a\n\n\r\n`);
    setTimeout(() => socket.end("zz\r\n"), 50);
  });
  const items = await all(url);
  assert.equal(items.at(-1).error.cause.code, "HPE_INVALID_CHUNK_SIZE");
});

test_("each connection can have fresh header fields", async (t) => {
  const again = stream("retry: 0\nid: 7\ndata\n\n");
  const { url, requests } = await server(t, again, again);
  const asked = [];
  const headers = async (id) => {
    asked.push(id);
    return { Authorization: `Bearer ${asked.length}` };
  };
  await all(url, { headers });
  assert.deepEqual(asked, ["", "7", "7"]);
  const sent = requests.map(({ headers }) => headers.authorization);
  assert.deepEqual(sent, ["Bearer 1", "Bearer 2", "Bearer 3"]);
  // So can an object that its owner changes.
  const other = await server(t, again);
  const own = { Authorization: "Bearer old" };
  for await (const { kind } of fetchEvents(other.url, { headers: own })) {
    own.Authorization = kind === "lost" ? "Bearer new" : own.Authorization;
  }
  assert.deepEqual(
    other.requests.map(({ headers }) => headers.authorization),
    ["Bearer old", "Bearer new"],
  );
});

test_("a caller's Accept is kept, and completed", async (t) => {
  for (const [given, sent] of [
    [undefined, "text/event-stream"],
    ["application/json", "application/json, text/event-stream"],
    [
      "application/json, text/event-stream",
      "application/json, text/event-stream",
    ],
    ["Text/Event-Stream;q=0.5, a/b", "Text/Event-Stream;q=0.5, a/b"],
    ["text/event-streams", "text/event-streams, text/event-stream"],
  ]) {
    const { url, requests } = await server(t);
    await all(url, { headers: given ? { Accept: given } : {} });
    assert.equal(requests[0].headers.accept, sent);
  }
});

test_("only what is bare follows a redirect unasked", async (t) => {
  const there = await server(
    t,
    ...Array(3).fill(stream("retry: 0\ndata: a\n\n")),
  );
  const to = (response) =>
    response.writeHead(307, { Location: there.url }).end();
  for (const [options, follows] of [
    [{}, true],
    [{ headers: { "X-Api-Key": "secret" } }, false],
    [{ method: "POST", body: "pay 10" }, false],
    [{ redirect: "manual" }, false],
    [{ redirect: "error" }, false],
    [{ headers: { "X-Api-Key": "known" }, redirect: "follow" }, true],
    [{ method: "POST", body: "pay 20", redirect: "follow" }, true],
  ]) {
    const before = there.requests.length;
    const { url } = await server(t, to);
    if (follows) {
      assert.ok(kinds(await all(url, options)).includes("event"));
    } else {
      await assert.rejects(all(url, options), (error) => {
        assert.match(error.message, /^the server redirects this request/);
        return error instanceof Refused && error.status === 307;
      });
    }
    assert.equal(there.requests.length, before + Number(follows));
  }
  // This is all that a browser tells of it.
  const fetch = async () => ({ type: "opaqueredirect", status: 0 });
  const post = { method: "POST", fetch };
  await assert.rejects(all(there.url, post), /redirects this request/);
});

test_("silence is an end, before the head and behind it", async (t) => {
  const { url, requests } = await server(
    t,
    (response) => response.writeHead(200, HEAD).write("retry:0\ndata: a\n\n"),
    // Not even a head.
    () => {},
  );
  const items = await all(url, { headTimeout: 200, idleTimeout: 300 });
  const lost = items.filter(({ kind }) => kind === "lost");
  assert.deepEqual(
    lost.map(({ error }) => error.message),
    ["nothing came in time", "no response came in time"],
  );
  assert.ok(requests[0].response.destroyed);
  // Nor may a token take longer, or a `fetch` that does not look.
  for (const never of [
    { headers: () => new Promise(() => {}) },
    { fetch: () => new Promise(() => {}) },
  ]) {
    const post = { method: "POST", headTimeout: 50, ...never };
    await assert.rejects(all(url, post), /^Error: no response came in time$/);
  }
});

test_("without limits nobody is hurried", async (t) => {
  const set = [];
  const { setTimeout: wait } = globalThis;
  const { url } = await server(t, stream("data: a\n\n"));
  t.mock.method(globalThis, "setTimeout", (run, ms, ...rest) => {
    set.push(ms);
    return wait(run, ms, ...rest);
  });
  const options = { reconnect: false, headTimeout: 0, idleTimeout: 0 };
  assert.equal(kinds(await all(url, options)).at(-1), "end");
  assert.ok(!set.includes(30_000) && !set.includes(60_000), String(set));
  await all(url, { headTimeout: Infinity, idleTimeout: 2 ** 40 });
});

test_("a slow caller is not silence", async (t) => {
  const { url } = await server(t, async (response) => {
    response.writeHead(200, HEAD).write("data: a\n\n");
    setTimeout(() => response.end("data: b\n\n"), 10);
  });
  const data = [];
  const options = { idleTimeout: 500, reconnect: false };
  for await (const item of fetchEvents(url, options)) {
    if (item.kind === "event") {
      data.push(item.data);
      await new Promise((resolve) => setTimeout(resolve, 700));
    }
  }
  assert.deepEqual(data, ["a", "b"]);
});

test_("abort ends it: reading, waiting, before it began", async (t) => {
  const holds = (response) =>
    response.writeHead(200, HEAD).write("retry: 99999999999\ndata: a\n\n");
  for (const [answer, until] of [
    [holds, "event"],
    [stream("retry: 99999999999\n\n"), "lost"],
  ]) {
    const { url, requests } = await server(t, answer);
    const abort = new AbortController();
    const { signal } = abort;
    for await (const item of fetchEvents(url, { signal })) {
      if (item.kind === until) {
        setTimeout(() => abort.abort(), 10);
      }
    }
    assert.equal(requests.length, 1);
  }
  assert.deepEqual(
    await all("http://127.0.0.1:9/", { signal: AbortSignal.abort() }),
    [],
  );
});

test_("nothing comes after an abort", async (t) => {
  const text = "data: a\n\ndata: b\n\nretry: 99999999999\n\n";
  for (const until of ["open", "bytes", "event", "retry", "lost"]) {
    const { url, requests } = await server(t, stream(text));
    const abort = new AbortController();
    const { signal } = abort;
    const items = [];
    for await (const item of fetchEvents(url, { signal })) {
      items.push(item);
      if (item.kind === until) {
        abort.abort();
        // Also when the server's end is there by now.
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    assert.equal(kinds(items).indexOf(until), items.length - 1);
    assert.equal(requests.length, 1);
  }
});

test_("nor when the fetch that was given does not look at it", async () => {
  for (const [until, kept] of [
    ["fetch", []],
    ["event", ["open", "bytes", "event"]],
  ]) {
    const abort = new AbortController();
    const step = (kind) => kind === until && abort.abort();
    const fetch = async () => {
      step("fetch");
      return new Response("data: a\n\n", { headers: HEAD });
    };
    const items = [];
    const { signal } = abort;
    for await (const item of fetchEvents("http://host/", { fetch, signal })) {
      items.push(item);
      step(item.kind);
    }
    assert.deepEqual(kinds(items), kept);
  }
});

test_("break hangs up", async (t) => {
  const { url, requests } = await server(t, (response) =>
    response.writeHead(200, HEAD).write("data: a\n\n"),
  );
  for await (const item of fetchEvents(url)) {
    if (item.kind === "event") {
      break;
    }
  }
  const { response } = requests[0];
  if (!response.destroyed) {
    await once(response, "close");
  }
  assert.equal(requests.length, 1);
});

// The stream reader of the page against servers that behave, and do not.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { Refused, fetchEvents } from "../../page/fetch-source.js";

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
  assert.equal(items[5].wait, 100);
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
  assert.deepEqual(kinds(items), ["open", "bytes", "event"]);
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
  for (const status of [404, 500, 503]) {
    const { url, requests } = await server(t, (response) =>
      response.writeHead(status, HEAD).end("data: no\n\n"),
    );
    await assert.rejects(all(url), (error) => {
      assert.ok(error instanceof Refused);
      assert.equal(error.status, status);
      return error.message === `The server answered ${status}, not 200.`;
    });
    assert.equal(requests.length, 1);
  }
  for (const type of ["text/html", "text/event-streams", null]) {
    const { url } = await server(t, (response) =>
      response.writeHead(200, type ? { "Content-Type": type } : {}).end(),
    );
    await assert.rejects(all(url), /The Content-Type is "/);
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
    await assert.rejects(all(wrong), TypeError, String(wrong));
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

test_("a server that dies behind its retry is called ever later", async (t) => {
  const dies = stream("retry: 0\n\n");
  const { url } = await server(t, dies, dies, stream("data\n\n"), dies);
  t.mock.method(Math, "random", () => 0.001);
  const items = await all(url);
  const waits = items.filter(({ kind }) => kind === "lost");
  // The second failure in a row is drawn from up to 2 s; an event is success.
  assert.deepEqual(
    waits.map(({ wait }) => Math.round(wait)),
    [100, 102, 100, 102],
  );
});

test_("the wait has a floor and a ceiling, and is told as it is", async (t) => {
  for (const [retry, wait] of [
    [0, 100],
    [99, 100],
    [101, 101],
    ["9".repeat(30), 2 ** 31 - 1],
  ]) {
    // Each event is a success.
    const { url } = await server(t, stream(`retry: ${retry}\ndata\n\n`));
    const abort = new AbortController();
    const { signal } = abort;
    for await (const item of fetchEvents(url, { signal })) {
      if (item.kind === "lost") {
        assert.equal(item.wait, wait);
        abort.abort();
      }
    }
    assert.ok(signal.aborted);
  }
});

test_("silence is an end", async (t) => {
  const { url, requests } = await server(
    t,
    (response) => response.writeHead(200, HEAD).write("retry:0\ndata: a\n\n"),
    // Not even a head.
    () => {},
  );
  const items = await all(url, { idle: 200 });
  const lost = items.filter(({ kind }) => kind === "lost");
  assert.deepEqual(
    lost.map(({ error }) => error.message),
    ["Nothing came for 0.2 s.", "Nothing came for 0.2 s."],
  );
  assert.ok(requests[0].response.destroyed);
});

test_("a slow caller is not silence", async (t) => {
  const { url } = await server(t, async (response) => {
    response.writeHead(200, HEAD).write("data: a\n\n");
    setTimeout(() => response.end("data: b\n\n"), 10);
  });
  const data = [];
  const options = { idle: 500, reconnect: false };
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

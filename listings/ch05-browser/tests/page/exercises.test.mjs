// The solutions of the exercises that are in JavaScript.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { fetchEvents } from "../../page/fetch-source.js";
import { fakeEventSource } from "./fake.mjs";

// ANCHOR: watched
// Reads with an EventSource, and opens another when nothing came for so many
// ms. The server sends an event `beat` more often than that. Returns a function
// that ends it.
function watched(url, types, hear, options = {}) {
  const { silence = 45_000, EventSource = globalThis.EventSource } = options;
  let source;
  let timer;
  let lastEventId = "";

  function open() {
    source?.close();
    const from = new URL(url);
    if (lastEventId !== "") {
      from.searchParams.set("lastEventId", lastEventId);
    }
    source = new EventSource(from);
    source.addEventListener("open", wind);
    for (const type of ["beat", ...types]) {
      source.addEventListener(type, (event) => {
        wind();
        // A new source has no ID until its first event brings one.
        lastEventId = event.lastEventId || lastEventId;
        if (type !== "beat") {
          hear(event);
        }
      });
    }
    wind();
  }

  function wind() {
    clearTimeout(timer);
    timer = setTimeout(open, silence);
  }

  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}
// ANCHOR_END: watched

test("silence ends in another connection, which goes on", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const EventSource = fakeEventSource();
  const url = "http://127.0.0.1:9005/events";
  const heard = [];
  const hear = ({ data }) => heard.push(data);
  const end = watched(url, ["message"], hear, { silence: 1_000, EventSource });
  const first = EventSource.last;
  assert.equal(first.url, url);
  first.open();
  t.mock.timers.tick(900);
  first.event("a", "7");
  t.mock.timers.tick(900);
  first.event("", "7", "beat");
  t.mock.timers.tick(900);
  assert.equal(EventSource.all.length, 1);

  t.mock.timers.tick(100);
  const second = EventSource.last;
  assert.equal(first.readyState, EventSource.CLOSED);
  assert.equal(second.url, `${url}?lastEventId=7`);
  // A beat before the first event carries no ID, and takes none away.
  second.event("", "", "beat");
  t.mock.timers.tick(1_000);
  const third = EventSource.last;
  assert.equal(third.url, `${url}?lastEventId=7`);
  third.event("b", "8");
  assert.deepEqual(heard, ["a", "b"]);

  end();
  t.mock.timers.tick(10_000);
  assert.equal(EventSource.all.length, 3);
  assert.equal(third.readyState, EventSource.CLOSED);
});

// ANCHOR: complete
// Asks, and gives the answer piece by piece.
async function* complete(url, prompt, options = {}) {
  const headers = new Headers(options.headers);
  headers.set("Content-Type", "application/json");
  const body = JSON.stringify({ prompt });
  const request = { ...options, method: "POST", headers, body };
  const items = fetchEvents(url, request);
  for await (const { kind, type, data } of items) {
    if (kind !== "event") {
      continue;
    }
    if (type === "done") {
      return;
    }
    if (type === "failed") {
      throw new Error(data);
    }
    if (type === "token") {
      yield JSON.parse(data);
    }
  }
  // A POST is not sent again, so the loop ends with the response.
  options.signal?.throwIfAborted();
  throw new Error("The answer broke off.");
}
// ANCHOR_END: complete

// A server that answers what `answer` writes, and tells how it was asked.
async function model(t, answer) {
  const asked = [];
  const http = createServer(async (request, response) => {
    const body = (await request.toArray()).join("");
    asked.push({ headers: request.headers, body, response });
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    answer(response);
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => {
    http.closeAllConnections();
    http.close();
  });
  return { url: `http://127.0.0.1:${http.address().port}/`, asked };
}

async function text(answer) {
  let whole = "";
  for await (const piece of answer) {
    whole += piece;
  }
  return whole;
}

test("the answer comes in pieces and has an end", async (t) => {
  const { url, asked } = await model(t, (response) => {
    response.write('event: token\ndata: "Good"\n\n: still here\n\n');
    response.write('event: token\ndata: " day,\\n"\n\nevent: token\n');
    response.write('data: "Ada"\n\nevent: done\ndata\n\n');
  });
  const headers = new Headers({ Authorization: "Bearer x" });
  assert.equal(await text(complete(url, "Hi", { headers })), "Good day,\nAda");
  assert.deepEqual(JSON.parse(asked[0].body), { prompt: "Hi" });
  assert.equal(asked[0].headers.authorization, "Bearer x");
});

test("an answer that breaks off is no answer", async (t) => {
  const { url, asked } = await model(t, (response) => {
    response.end('event: token\ndata: "Good"\n\nevent: token\ndata: " d');
  });
  await assert.rejects(text(complete(url, "Hi")), /broke off/);
  assert.equal(asked.length, 1);
});

test("who hangs up is told that, and not of a fault", async (t) => {
  const { url } = await model(t, (response) => {
    response.write('event: token\ndata: "Good"\n\n');
  });
  const caller = new AbortController();
  const answer = complete(url, "Hi", { signal: caller.signal });
  assert.equal((await answer.next()).value, "Good");
  caller.abort();
  await assert.rejects(answer.next(), { name: "AbortError" });
});

test("a failure after the head is an event", async (t) => {
  const { url } = await model(t, (response) => {
    response.write('event: token\ndata: "Good"\n\n');
    response.write("event: failed\ndata: out of tokens\n\n");
  });
  await assert.rejects(text(complete(url, "Hi")), /out of tokens/);
});

test("who has heard enough hangs up", { timeout: 30_000 }, async (t) => {
  const { url, asked } = await model(t, (response) => {
    response.write('event: token\ndata: "Good"\n\n');
  });
  for await (const piece of complete(url, "Hi")) {
    assert.equal(piece, "Good");
    break;
  }
  const { response } = asked[0];
  if (!response.closed) {
    await once(response, "close");
  }
});

// Tabs that share a stream: here they are objects, and the channel is Node's.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { SharedSource } from "../../page/shared.js";

// Web Locks, as far as they are needed: one holder, the others in order.
function fakeLocks() {
  const queue = [];
  let isHeld = false;
  const grant = async () => {
    const next = isHeld ? null : queue.shift();
    if (next) {
      isHeld = true;
      try {
        next.resolve(await next.run());
      } catch (error) {
        next.reject(error);
      }
      isHeld = false;
      grant();
    }
  };
  return {
    request: (name, { signal }, run) =>
      new Promise((resolve, reject) => {
        const asked = { run, resolve, reject };
        queue.push(asked);
        signal.addEventListener("abort", () => {
          if (queue.includes(asked)) {
            queue.splice(queue.indexOf(asked), 1);
            reject(signal.reason);
          }
        });
        // As in a browser, never at once.
        setTimeout(grant);
      }),
  };
}

// A server that keeps all events, and gives those after the reader's ID; a
// reader without one gets the newest, as in chapter 5.
async function server(t, status = 200) {
  const asked = [];
  const open = new Set();
  let newest = 0;
  const block = (number) => `id: ${number}\ndata: event ${number}\n\n`;
  const http = createServer((request, response) => {
    const id = request.headers["last-event-id"];
    asked.push(id ?? null);
    response.writeHead(status, { "Content-Type": "text/event-stream" });
    response.flushHeaders();
    const from = id === undefined ? newest - 1 : Number(id);
    for (let number = Math.max(from, 0) + 1; number <= newest; number += 1) {
      response.write(block(number));
    }
    open.add(response);
    response.on("close", () => open.delete(response));
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  t.after(() => {
    http.closeAllConnections();
    http.close();
  });
  const publish = () => {
    newest += 1;
    open.forEach((response) => response.write(block(newest)));
  };
  const url = `http://127.0.0.1:${http.address().port}/events`;
  return { url, asked, open, publish };
}

function tab(t, url, options) {
  const source = new SharedSource(url, options);
  t.after(() => source.close());
  const ids = [];
  source.addEventListener("message", (event) => {
    ids.push(Number(event.lastEventId));
    source.dispatchEvent(new Event("step"));
  });
  // Waits for the thing itself; the test's own timeout bounds it.
  const until = async (isSo) => {
    while (!isSo()) {
      await once(source, "step");
    }
  };
  return { source, ids, until };
}

const test_ = (name, run) => test(name, { timeout: 30_000 }, run);

test_("one connection, and every tab has every event", async (t) => {
  const { url, asked, publish } = await server(t);
  const locks = fakeLocks();
  publish();
  const tabs = [1, 2, 3].map(() => tab(t, url, { locks }));
  for (const { ids, until } of tabs) {
    await until(() => ids.length === 1);
  }
  publish();
  publish();
  for (const { ids, until } of tabs) {
    await until(() => ids.length === 3);
    assert.deepEqual(ids, [1, 2, 3]);
  }
  assert.deepEqual(asked, [null]);
  assert.deepEqual(
    tabs.map(({ source }) => source.isLeader),
    [true, false, false],
  );
});

test_("the leader goes; the next reads on where they ended", async (t) => {
  const { url, asked, open, publish } = await server(t);
  const locks = fakeLocks();
  const [first, second, third] = [1, 2, 3].map(() => tab(t, url, { locks }));
  await once(first.source, "leader");
  publish();
  // An event comes only when the connection is there.
  await third.until(() => third.ids.length === 1);
  await second.until(() => second.ids.length === 1);

  const gone = [...open].map((response) => once(response, "close"));
  const leads = once(second.source, "leader");
  first.source.close();
  await Promise.all([...gone, leads]);
  // Whether they come before the next connection or after it.
  publish();
  publish();
  for (const { ids, until } of [second, third]) {
    await until(() => ids.length === 3);
    assert.deepEqual(ids, [1, 2, 3]);
  }
  assert.deepEqual(asked, [null, "1"]);
  assert.equal(third.source.isLeader, false);
});

test_("who comes late is told the newest, and goes on there", async (t) => {
  const { url, asked, publish } = await server(t);
  const locks = fakeLocks();
  const first = tab(t, url, { locks });
  publish();
  publish();
  await first.until(() => first.ids.at(-1) === 2);
  const late = tab(t, url, { locks });
  await late.until(() => late.ids.length === 1);
  assert.deepEqual(late.ids, [2]);
  first.source.close();
  publish();
  await late.until(() => late.ids.length === 2);
  assert.deepEqual(late.ids, [2, 3]);
  assert.deepEqual(asked.slice(1), ["2"]);
});

test_("an event that comes twice is dispatched once", async (t) => {
  const { url, publish } = await server(t);
  const locks = fakeLocks();
  const it = tab(t, url, { locks });
  publish();
  await it.until(() => it.ids.length === 1);
  // What a leader passed on just before it went.
  const channel = new BroadcastChannel(`shared-source ${url}`);
  t.after(() => channel.close());
  const event = (id) => {
    const item = { kind: "event", type: "message", data: "", id };
    channel.postMessage(item);
  };
  ["1", "2", "2", "3"].forEach(event);
  await it.until(() => it.ids.includes(3));
  assert.deepEqual(it.ids, [1, 2, 3]);
  publish();
  publish();
  publish();
  publish();
  await it.until(() => it.ids.includes(5));
  assert.deepEqual(it.ids, [1, 2, 3, 4, 5]);
});

test_("a refusal is told", async (t) => {
  const { url } = await server(t, 503);
  const { source } = tab(t, url, { locks: fakeLocks() });
  const [event] = await once(source, "refused");
  assert.equal(event.reason, "the server answered with status 503, not 200");
  assert.equal(source.isLeader, false);
});

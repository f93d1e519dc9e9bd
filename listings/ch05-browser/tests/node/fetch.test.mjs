// What the client's fetch adds to EventSource: words, bounds, and the ID; and
// the client where it cannot run.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { Connections } from "../../node/fetch.mjs";

const TYPE = { "Content-Type": "text/event-stream" };

/** A server for one test, and its URL. */
async function serve(t, answer) {
  const server = http.createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return new URL(`http://127.0.0.1:${server.address().port}/events?a=b`);
}

/** As EventSource asks. */
function ask(connections, url, id) {
  const headers = { Accept: "text/event-stream" };
  if (id !== undefined) headers["Last-Event-ID"] = id;
  const { signal } = new AbortController();
  return connections.fetch(url, { headers, signal });
}

/** All that the body says, as text. */
async function text({ body }) {
  const reader = body.getReader();
  let all = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return all;
    all += Buffer.from(value).toString();
  }
}

test("it tells the URL and both heads", async (t) => {
  const url = await serve(t, (_, response) => {
    response.sendDate = false;
    response.writeHead(200, { ...TYPE, Connection: "close" });
    response.end("data: a\n\n");
  });
  const notes = [];
  const connections = new Connections((line) => notes.push(line));
  assert.equal(await text(await ask(connections, url, "7")), "data: a\n\n");
  assert.deepEqual(notes, [
    `Connecting to ${url}`,
    "GET /events?a=b HTTP/1.1",
    "accept: text/event-stream",
    "last-event-id: 7",
    "",
    "HTTP/1.1 200 OK",
    "connection: close",
    "content-type: text/event-stream",
    "transfer-encoding: chunked",
    "",
  ]);
});

test("a client that is told an ID goes on from it at once", async (t) => {
  const events = ["", "id: 8\n", "id\n", ""];
  const ids = [];
  const url = await serve(t, ({ headers }, response) => {
    const { "last-event-id": id = "" } = headers;
    const event = `retry: 1\n${events[ids.length]}data\n\n`;
    ids.push(Buffer.from(id, "latin1").toString());
    // The connection stays open, and silent.
    response.writeHead(200, TYPE).write(event);
  });
  const path = new URL("../../node/client.mjs", import.meta.url);
  const args = ["--json", "--last-event-id=7ä", "--silence=999", "--events=4"];
  const client = spawn(process.execPath, [fileURLToPath(path), ...args, url]);
  t.after(() => client.kill());
  let printed = "";
  client.stdout.on("data", (text) => (printed += text));
  const [status] = await once(client, "close");
  assert.equal(status, 0, printed);
  // An ID that is taken back is none, and not the first again.
  assert.deepEqual(ids, ["7ä", "7ä", "8", ""]);
  const lines = printed.trim().split("\n").map(JSON.parse);
  const errors = lines.filter(({ kind }) => kind === "error");
  assert.equal(errors.length, 3);
  for (const { message } of errors) {
    assert.equal(message, "nothing came in time; reconnecting");
  }
});

test("an ID is sent as UTF-8, or not at all", async (t) => {
  const url = await serve(t, ({ headers }, response) => {
    const id = headers["last-event-id"];
    response.writeHead(200, TYPE).end(id && Buffer.from(id, "latin1"));
  });
  const long = "x".repeat(4096);
  for (const [id, sent] of [
    ["7", "7"],
    ["Grüße 7", "Grüße 7"],
    ["→\u{1f600}", "→\u{1f600}"],
    ["a\tb", "a\tb"],
    [long, long],
    [`${long}x`, ""],
    ["a\u0001b", ""],
    ["a\u007fb", ""],
    [" a", ""],
    ["a\t", ""],
  ]) {
    const connections = new Connections(() => {});
    assert.equal(await text(await ask(connections, url, id)), sent, id);
  }
});

test("a type is compared as the standard says", async (t) => {
  const url = await serve(t, (request, response) => {
    const type = request.headers["last-event-id"];
    response.writeHead(200, type ? { "Content-Type": type } : {}).end();
  });
  for (const [type, isRight] of [
    ["text/event-stream", true],
    ["Text/Event-Stream ;charset=x", true],
    ["text/event-streams", false],
    ["text/plain; text/event-stream", false],
    [undefined, false],
  ]) {
    const connections = new Connections(() => {});
    const { headers } = await ask(connections, url, type);
    const seen = headers.get("content-type");
    assert.equal(seen === "text/event-stream", isRight, type);
  }
});

test("an event has a bound, many events have none", async (t) => {
  const small = "data: 1\n\n: a comment\r\n\r\ndata: 2\r\r".repeat(100);
  for (const [pieces, isTooLarge] of [
    [[small], false],
    [[`${small}data: 3456789012345`], true],
    [["data: 1\n".repeat(3)], true],
    // Lines of comments are gone once they are over.
    [[": 3456789\r\n".repeat(100)], false],
    [["data: 1\n", ": 3456789\n".repeat(100), "data: 8\n\n"], false],
    [[`data: 1\n${": 3456789\r".repeat(100)}data: 890`], true],
    [[": 34567890123456"], true],
    // A line end in two pieces is one, and ends no block.
    [["data: 12\r", "\ndata: 34\r\n"], true],
    [["data: 12\r", "\rdata: 34\r\n"], false],
    [["data: 12\n", "\ndata: 34\n"], false],
  ]) {
    const url = await serve(t, async (_, response) => {
      response.writeHead(200, TYPE);
      for (const piece of pieces) {
        await new Promise((written) => response.write(piece, written));
        // Two pieces must not come as one.
        await new Promise((later) => setTimeout(later, 20));
      }
      response.end();
    });
    const connections = new Connections(() => {}, { event: 15 });
    const read = text(await ask(connections, url));
    if (isTooLarge) {
      const message = "an event is larger than 15 bytes";
      await assert.rejects(read, { message });
      assert.equal(connections.fatal, message);
    } else {
      assert.equal(await read, pieces.join(""));
      assert.equal(connections.fatal, undefined);
    }
  }
});

test("a silent server is left, before its head and after", async (t) => {
  const silent = { message: "nothing came in time" };
  const connections = new Connections(() => {}, { silence: 50 });
  const mute = await serve(t, () => {});
  await assert.rejects(ask(connections, mute), silent);
  connections.good();

  let closed;
  const url = await serve(t, (_, response) => {
    response.writeHead(200, TYPE).write("data: a\n\n");
    closed = once(response, "close");
  });
  const response = await ask(connections, url);
  await assert.rejects(text(response), silent);
  await closed;
  assert.equal(connections.fatal, undefined);
});

test("an error says what went wrong", async (t) => {
  const gone = await serve(t, (_, response) => {
    response.writeHead(200, TYPE).write("data: a\n\n", () => {
      response.socket.destroy();
    });
  });
  const connections = new Connections(() => {});
  const cut = text(await ask(connections, gone));
  await assert.rejects(cut, { message: "other side closed" });

  const taken = http.createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const { port } = taken.address();
  await new Promise((closed) => taken.close(closed));
  const refused = ask(connections, new URL(`http://127.0.0.1:${port}/`));
  await assert.rejects(refused, { code: "ECONNREFUSED" });
});

test("failing again and again takes longer, an event ends that", async (t) => {
  const url = await serve(t, (_, response) => {
    response.writeHead(200, TYPE).end();
  });
  const waits = [];
  const { setTimeout: wait } = globalThis;
  // No other timer is set to such times.
  t.mock.method(Math, "random", () => 0.9);
  const longer = [1800, 3600, 7200, 14_400, 27_000, 27_000];
  t.mock.method(globalThis, "setTimeout", (done, ms, ...rest) => {
    const isBackOff = longer.includes(ms);
    if (isBackOff) waits.push(ms);
    return wait(done, isBackOff ? 0 : ms, ...rest);
  });
  const connections = new Connections(() => {});
  const connect = async (times) => {
    for (let n = 0; n < times; n += 1) await text(await ask(connections, url));
    return waits.splice(0);
  };
  assert.deepEqual(await connect(8), longer);
  connections.good();
  assert.deepEqual(await connect(3), [1800]);
});

test("a Node.js without `util.parseArgs` is told to be old", () => {
  const { execPath, versions } = process;
  const old = JSON.stringify({ ...versions, node: "16.20.2" });
  const module = `import util from "node:util";
    delete util.parseArgs;
    Object.defineProperty(process, "versions", { value: ${old} });`;
  const preload = `data:text/javascript,${encodeURIComponent(module)}`;
  const url = new URL("../../node/client.mjs", import.meta.url);
  const client = ["--import", preload, fileURLToPath(url)];
  const message = "this is Node.js 16.20.2: install version 20 or newer";
  for (const [args, ...expected] of [
    [["http://127.0.0.1:1/"], "", `client.mjs: ${message}\n`],
    // Whatever else it is given.
    [["--nonsense"], "", `client.mjs: ${message}\n`],
    [["--json"], `${JSON.stringify({ kind: "missing", message })}\n`, ""],
  ]) {
    const run = spawnSync(execPath, [...client, ...args], { encoding: "utf8" });
    assert.deepEqual([run.stdout, run.stderr], expected);
    assert.equal(run.status, 1);
  }
});

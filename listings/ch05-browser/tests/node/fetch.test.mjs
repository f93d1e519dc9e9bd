// The client in Node.js: what it adds to `fetchEvents`, and what it prints.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { basic, fetchWith } from "../../node/fetch.mjs";
import { fetchEvents } from "../../page/fetch-source.js";

const SCRIPT = fileURLToPath(new URL("../../node/client.mjs", import.meta.url));
const OK = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";

const test_ = (name, run) => test(name, { timeout: 60_000 }, run);

/**
 * A server that answers the n-th request with the n-th of these bytes, HOST
 * for itself, and closes; an array stays open, `null` is silence. After the
 * last comes 204. `heads` is what was asked.
 */
async function server(t, ...answers) {
  const heads = [];
  const sockets = new Set();
  const host = () => `127.0.0.1:${listener.address().port}`;
  const listener = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("data", (bytes) => {
      const answer = answers[heads.length];
      heads.push(bytes.toString());
      if (answer === undefined) socket.end("HTTP/1.1 204 None\r\n\r\n");
      else if (Array.isArray(answer)) socket.write(answer.join(""));
      else if (answer !== null) socket.end(answer.replace("HOST", host()));
    });
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  t.after(() => {
    listener.close();
    sockets.forEach((socket) => socket.destroy());
  });
  return { host: host(), heads };
}

/** What `fetchEvents` gives; the waits are short. */
async function all(url, { note, authorization, ...options } = {}) {
  const fetch = fetchWith({ note, authorization });
  const items = [];
  const own = { fetch, decodes: false, minWait: 1, maxWait: 1, ...options };
  for await (const item of fetchEvents(url, own)) items.push(item);
  return items;
}

const events = (items) => items.filter(({ kind }) => kind === "event");

/** The client, to its end. */
async function client(t, ...args) {
  const child = spawn(process.execPath, [SCRIPT, ...args]);
  t.after(() => child.kill());
  const printed = { out: "", err: "" };
  child.stdout.on("data", (text) => (printed.out += text));
  child.stderr.on("data", (text) => (printed.err += text));
  const [status] = await once(child, "close");
  return { status, ...printed };
}

test_("it tells the URL and both heads, and no secret", async (t) => {
  const body = "Connection: close\r\n\r\ndata: a\n\n";
  const cookies = "Set-Cookie: a=secret\r\nset-cookie: b=secret\r\n";
  const { host } = await server(
    t,
    "HTTP/1.1 307 There\r\nLocation: http://user:secret@HOST/b\r\n\r\n",
    `${OK}${cookies}X: é\r\n${body}`,
  );
  const notes = [];
  const authorization = basic(new URL("http://user:secret@host/"));
  const note = (line) => notes.push(line);
  const options = { note, authorization, reconnect: false, lastEventId: "7é" };
  await all(`http://${host}/events?a=b`, options);
  const request = [
    `Host: ${host}`,
    "Connection: close",
    "Accept-Encoding: identity",
    "Cache-Control: no-cache",
    "Accept: text/event-stream",
    "Last-Event-ID: 7é",
  ];
  assert.deepEqual(notes.slice(0, 12), [
    `Connecting to http://${host}/events?a=b`,
    "GET /events?a=b HTTP/1.1",
    ...request,
    "Authorization: (not shown)",
    "",
    "HTTP/1.1 307 There",
    `Location: http://${host}/b`,
  ]);
  assert.ok(!notes.join("\n").includes("secret"), notes.join("\n"));
});

test_("a user and a password become a header field", async (t) => {
  const { host, heads } = await server(t, `${OK}\r\nid: 1\ndata: a\n\n`);
  const url = `http://us%40er:se%3Acr%C3%A9t%@${host}/events`;
  const { status, out, err } = await client(t, url, "--events=1");
  assert.equal(status, 0, err);
  const both = Buffer.from("us@er:se:crét%").toString("base64");
  assert.match(heads[0], /^GET \/events HTTP/);
  assert.ok(heads[0].includes(`Authorization: Basic ${both}\r\n`), heads[0]);
  for (const secret of ["us%40", "us@", "cr%C3", both, "crét"]) {
    assert.ok(!`${out}${err}`.includes(secret), out);
  }
  assert.equal(basic(new URL("http://host/")), undefined);
  for (const bad of ["http://user:secret@:x/", "ftp://user:secret@host/"]) {
    const { status, out, err } = await client(t, bad);
    assert.equal(status, 1);
    assert.equal(out, "");
    assert.match(err, /^client.mjs: this is not a URL that starts with http/);
  }
});

test_("it does not follow a redirect to another origin", async (t) => {
  const good = `${OK}\r\ndata: a\n\n`;
  const other = await server(t, good);
  const to = (place) =>
    `HTTP/1.1 302 Found\r\nLocation: ${place}\r\nConnection: close\r\n\r\n`;
  const own = await server(t, to("/b"), to(`http://${other.host}/c`));
  const options = { authorization: "Basic eA==", reconnect: false };
  assert.equal(events(await all(`http://${own.host}/a`, options)).length, 1);
  assert.match(own.heads[1], /^GET \/b .*Authorization: Basic eA==/s);
  assert.match(other.heads[0], /^GET \/c /);
  assert.ok(!other.heads[0].includes("Authorization"), other.heads[0]);

  for (const [places, error] of [
    [Array(30).fill("/again"), /^Refused: redirected without end$/],
    [["http://"], /^Refused: redirected to what is no URL$/],
    [["ftp://host/"], /^Refused: redirected to ftp:, not to http/],
  ]) {
    const { host } = await server(t, ...places.map(to));
    await assert.rejects(all(`http://${host}/`), error);
  }
  const { host } = await server(t, "HTTP/1.1 302 Found\r\n\r\n");
  await assert.rejects(all(`http://${host}/`), /with status 302, not 200$/);
});

test_("heads are read as HTTP says, and as the other clients do", async (t) => {
  const chunks = "9\r\ndata: a\n\n\r\n0\r\n\r\n";
  const chunked = `Transfer-Encoding: chunked\r\n\r\n${chunks}`;
  for (const head of [
    `${OK}Content-Encoding: none\r\n\r\ndata: a\n\n`,
    `${OK}Content-Encoding:\r\n\r\ndata: a\n\n`,
    `${OK}Content-Type: text/event-stream\r\n\r\ndata: a\n\n`,
    `${OK}Content-Length: 3\r\n${chunked}`,
    `${OK}Transfer-Encoding: chunked\r\n${chunked}`,
    `${OK}Transfer-Encoding: identity\r\n\r\ndata: a\n\n`,
    "HTTP/1.0 200\nContent-Type: text/event-stream\n\ndata: a\n\n",
    `HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n${OK}\r\ndata: a\n\n`,
  ]) {
    const { host } = await server(t, head);
    const items = await all(`http://${host}/`, { reconnect: false });
    assert.deepEqual(
      events(items).map(({ data }) => data),
      ["a"],
      head,
    );
  }
  const coded = "the body has the content coding";
  for (const [head, message] of [
    [`${OK}Content-Encoding: gzip\r\n\r\n`, `${coded} "gzip", which`],
    [
      `${OK}Content-Encoding: identity\r\nContent-Encoding: gzip\r\n\r\n`,
      `${coded} "gzip", which`,
    ],
    [
      `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
      'the Transfer-Encoding is "gzip, chunked"; only',
    ],
    [`${OK}Content-Type: text/html\r\n\r\n`, "the Content-Type is"],
    ["HTTP/1.1 101 Other\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "the "],
    ["HTTP/1.1 999 ?\r\n\r\n", "the server answered with status 999"],
  ]) {
    const { host, heads } = await server(t, head);
    await assert.rejects(all(`http://${host}/`), (error) =>
      error.message.startsWith(message),
    );
    assert.equal(heads.length, 1);
  }
});

test_("what cannot be read is final, what broke is not", async (t) => {
  const bad = [
    "nonsense\r\n\r\n",
    "HTTP/2 200 OK\r\n\r\n",
    `${OK}Content-Length: 1x\r\n\r\n`,
    `${OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`,
    `${OK}X: ${"y".repeat(20_000)}\r\n\r\n`,
  ];
  for (const bytes of bad) {
    const { host, heads } = await server(t, bytes);
    const { status, err } = await client(t, `http://${host}/`);
    assert.equal(status, 1);
    assert.match(err, /^client.mjs: the response is malformed: [A-Z]/);
    assert.equal(heads.length, 1);
  }
  // Cut in the head, at once, in a chunk, before the length.
  const { host, heads } = await server(
    t,
    "HTTP/1.1 200",
    "",
    `${OK}Transfer-Encoding: chunked\r\n\r\n9\r\ndata`,
    `${OK}Content-Length: 9\r\n\r\ndata`,
  );
  const items = await all(`http://${host}/`);
  const errors = items.filter(({ kind }) => kind === "lost");
  assert.deepEqual(
    errors.map(({ error }) => error.code),
    Array(4).fill("ECONNRESET"),
  );
  assert.equal(heads.length, 5);
});

test_("a server or a name that is not there may come", async (t) => {
  const abort = new AbortController();
  const { signal } = abort;
  for (const [url, code] of [
    ["http://127.0.0.1:1/", "ECONNREFUSED"],
    ["http://nobody.invalid/", /^(ENOTFOUND|EAI_AGAIN)$/],
  ]) {
    const fetch = fetchWith();
    for await (const { kind, error } of fetchEvents(url, { fetch })) {
      assert.equal(kind, "lost");
      assert.match(error.code, new RegExp(code));
      break;
    }
  }
  // An abort ends a wait for a head.
  const never = await server(t, null);
  setTimeout(() => abort.abort(), 20);
  assert.deepEqual(await all(`http://${never.host}/`, { signal }), []);
});

test_("a certificate that is wrong is final, a late one not", async () => {
  const rejecting = (code) => ({
    fetch: () => Promise.reject(Object.assign(new Error("no"), { code })),
  });
  for (const code of [
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "CERT_REVOKED",
    "ERR_TLS_CERT_ALTNAME_INVALID",
  ]) {
    await assert.rejects(all("https://host/", rejecting(code)), { code });
  }
  for (const code of ["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"]) {
    const items = fetchEvents("https://host/", rejecting(code));
    const { value } = await items.next();
    assert.deepEqual([value.kind, value.error.code], ["lost", code]);
    await items.return();
  }
});

test_("it waits as long as it is told, and says so", async (t) => {
  const { host, heads } = await server(
    t,
    [`${OK}\r\nretry: 0\nid: 1\ndata: a\n\n`],
    null,
    `${OK}\r\ndata: b\n\ndata: half`,
    `${OK}\r\nretry: 3000000000\ndata: c\n\n`,
  );
  const limits = ["--head-timeout=200ms", "--idle-timeout=300ms"];
  const url = `http://${host}/`;
  const child = spawn(process.execPath, [SCRIPT, "--json", ...limits, url]);
  t.after(() => child.kill());
  let printed = "";
  child.stdout.on("data", (text) => {
    printed += text;
    // An hour is too long for a test.
    if (printed.includes("3600.0s")) child.kill();
  });
  await once(child, "close");
  const lines = printed.trim().split("\n").map(JSON.parse);
  const errors = lines.filter(({ kind }) => kind === "error");
  const [first, second, ...rest] = errors.map(({ message }) => message);
  assert.equal(first, "nothing came in time; reconnecting in 500.0ms");
  assert.match(second, /^no response came in time; reconnecting in /);
  const ended = "the server ended the stream";
  const dropped = "within an event, which is dropped";
  assert.deepEqual(rest, [
    `${ended} ${dropped}; reconnecting in 500.0ms`,
    `${ended}; reconnecting in 3600.0s`,
  ]);
  assert.equal(heads.length, 4);
});

test_("a refusal is shown, or come back from", async (t) => {
  const busy =
    "HTTP/1.1 429 Too Many\r\nRetry-After: 0\r\n\r\n" +
    '{"error":"12 \x1b[2J a minute"}\n';
  const { host, heads } = await server(t, busy, busy, `${OK}\r\ndata\n\n`);
  const said =
    "the server answered with status 429, not 200, and Retry-After: 0s; it " +
    'says: {"error":"12 \\u{1b}[2J a minute"}';
  const { err } = await client(t, `http://${host}/`);
  assert.equal(err, `client.mjs: ${said}\n`);
  const back = ["--retry-on=429,503", "--events=1", `http://${host}/`];
  const { status, out } = await client(t, ...back);
  assert.equal(status, 0);
  assert.ok(out.includes(`Error: ${said}; reconnecting in 3.0s\n`), out);
  assert.equal(heads.length, 3);
});

test_("what it prints drives no terminal, and loses nothing", async (t) => {
  const odd =
    "\u009b2J\u007f\u0085\u061c\u200b\u200e\u200f\u2028\u2029\u202e\u2066" +
    "\u206a\ufeff\ufff9\u{e0041}";
  const body = `${OK}\r\nid: ${odd}\nevent: ${odd}\ndata: ${odd}\n\n`;
  const bytes = `${body}data: token \t\n\ndata:\ndata:\n\nid\ndata\n\n`;
  const { host } = await server(t, bytes, bytes);
  const args = ["--events=4", `http://${host}/`];
  const json = await client(t, "--json", ...args);
  const lines = json.out.trim().split("\n");
  const shown = lines.filter((line) => line.startsWith('{"kind":"event"'));
  for (const line of shown) assert.match(line, /^[ -~]*$/);
  assert.deepEqual(
    shown.map(JSON.parse).map(({ type, data, id }) => [type, data, id]),
    [
      [odd, odd, odd],
      ["message", "token \t", odd],
      ["message", "\n", odd],
      ["message", "", ""],
    ],
  );
  const text = await client(t, ...args);
  const at = text.out.indexOf("Received event ");
  const it = Array.from(odd, (char) => {
    const drives = !/[2J]/.test(char);
    return drives ? `\\u{${char.codePointAt(0).toString(16)}}` : char;
  }).join("");
  assert.deepEqual(text.out.slice(at).split("\n"), [
    `Received event ${it} (${it}): ${it}`,
    `Received event ${it}: token \\t`,
    `Received event ${it}: `,
    "    ",
    "Received event:",
    "",
  ]);
});

test_("it goes on from the ID that it is told", async (t) => {
  const again = (event) => `${OK}\r\nretry: 1\n${event}data\n\n`;
  const { host, heads } = await server(
    t,
    ...["", "id: 8\n", "id\n", ""].map(again),
  );
  const args = ["--last-event-id=7ä", "--events=4", `http://${host}/`];
  const { status } = await client(t, ...args);
  assert.equal(status, 0);
  const ids = heads.map((head) => /Last-Event-ID: (.*)/.exec(head)?.[1]);
  // An ID that is taken back is none, and not the first again.
  assert.deepEqual(ids, ["7ä", "7ä", "8", undefined]);
});

test("arguments that cannot be used are refused, and escaped", () => {
  for (const args of [
    ["--head-timeout=1"],
    ["--head-timeout=0s"],
    ["--idle-timeout=-1s"],
    ["--idle-timeout=1.5s"],
    ["--idle-timeout=25h"],
    ["--idle-timeout=1d"],
    ["--idle-timeout="],
    ["--retry-on=200"],
    ["--retry-on=503,"],
    ["--retry-on=5030"],
    ["--events=1.5"],
    ["--events=0"],
    ["--\u001b[2J"],
  ]) {
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      [SCRIPT, ...args, "http://127.0.0.1:1/"],
      { encoding: "utf8" },
    );
    assert.equal(status, 2, args[0]);
    assert.match(stderr, /^client\.mjs: .+\nusage: node client\.mjs /);
    assert.ok(!stderr.includes("\u001b"), stderr);
    assert.equal(stdout, "");
  }
});

test("a Node.js without `util.parseArgs` is told to be old", () => {
  const { execPath, versions } = process;
  const old = JSON.stringify({ ...versions, node: "16.20.2" });
  const module = `import util from "node:util";
    delete util.parseArgs;
    Object.defineProperty(process, "versions", { value: ${old} });`;
  const preload = `data:text/javascript,${encodeURIComponent(module)}`;
  const client = ["--import", preload, SCRIPT];
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

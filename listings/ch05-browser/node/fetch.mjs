// What `fetchEvents` calls in the place of `fetch`. Node's own gives up after
// five minutes without a head or a byte, which cannot be told to it; it takes
// content codings off unasked, and it shows no head.

import http from "node:http";
import https from "node:https";
import { unescape } from "node:querystring";
import { Readable } from "node:stream";

import { Refused } from "../page/reconnection.js";

const MAX_REDIRECTS = 20;
const REDIRECTS = [301, 302, 303, 307, 308];

/**
 * A `fetch` for GET requests. `note` is given each line that tells what
 * happens. `authorization` is a header field of that name: it does not follow
 * a redirect to another origin, not even to come back from there.
 */
export function fetchWith({ note = () => {}, authorization } = {}) {
  return async (given, { headers, signal }) => {
    const fields = {
      Connection: "close",
      "Accept-Encoding": "identity",
      "Cache-Control": "no-cache",
      ...named(headers),
    };
    if (authorization) fields.Authorization = authorization;
    let url = new URL(given);
    for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
      note(`Connecting to ${url}`);
      const message = await exchange(url, fields, signal, note);
      const { location } = message.headers;
      if (!REDIRECTS.includes(message.statusCode) || !location) {
        return readable(message);
      }
      message.destroy();
      const next = target(location, url);
      if (next.origin !== url.origin) delete fields.Authorization;
      url = next;
    }
    throw new Refused("redirected without end");
  };
}

/** The user name and the password of a URL as a header field, if it has any. */
export function basic({ username, password }) {
  if (username === "" && password === "") return undefined;
  const both = `${unescape(username)}:${unescape(password)}`;
  return `Basic ${Buffer.from(both).toString("base64")}`;
}

/** With their names as people write them. */
function named(headers) {
  const names = { accept: "Accept", "last-event-id": "Last-Event-ID" };
  const named = ([name, value]) => [names[name] ?? name, value];
  return Object.fromEntries(Array.from(headers, named));
}

/** Where a redirect leads. Its user name and password are not taken on. */
function target(location, from) {
  let to;
  try {
    to = new URL(text(location), from);
  } catch {
    throw new Refused("redirected to what is no URL");
  }
  if (!/^https?:$/.test(to.protocol)) {
    throw new Refused(`redirected to ${to.protocol}, not to http: or https:`);
  }
  return Object.assign(to, { username: "", password: "" });
}

/** Sends a request; gives the response when its head is there. */
function exchange(url, headers, signal, note) {
  const { request } = url.protocol === "https:" ? https : http;
  const options = {
    headers: { Host: url.host, ...headers },
    signal,
    agent: false,
    // As lenient as browsers and the clients in Rust: LF as a line end, a
    // length beside chunks. What that lets through is a second response behind
    // the first, and this connection has one.
    insecureHTTPParser: true,
  };
  return new Promise((resolve, reject) => {
    const sent = request(url, options);
    note(`GET ${url.pathname}${url.search} HTTP/1.1`);
    for (const name of sent.getRawHeaderNames()) {
      note(field(name, sent.getHeader(name), url));
    }
    note("");
    const answer = (message) => {
      const { httpVersion, statusCode, statusMessage } = message;
      note(`HTTP/${httpVersion} ${statusCode} ${text(statusMessage)}`);
      for (const [name, value] of pairs(message)) {
        note(field(name, value, url));
      }
      note("");
      resolve(message);
    };
    sent.on("response", answer);
    // Asked for by nobody: a status like any other.
    sent.on("upgrade", (message, socket) => {
      socket.destroy();
      answer(message);
    });
    sent.on("error", reject);
    sent.end();
  });
}

/** A response as `fetchEvents` reads it. */
function readable(message) {
  const get = (wanted) => {
    const isIt = ([name]) => name.toLowerCase() === wanted.toLowerCase();
    const values = pairs(message).filter(isIt);
    return values.map(([, value]) => text(value)).join(", ") || null;
  };
  const body = Readable.toWeb(message);
  return { status: message.statusCode, headers: { get }, body };
}

/** All header fields: `headers` leaves out those that come twice. */
function pairs({ rawHeaders }) {
  const names = rawHeaders.filter((_, at) => at % 2 === 0);
  return names.map((name, at) => [name, rawHeaders[2 * at + 1]]);
}

const SECRET = /^(authorization|cookie|set-cookie|proxy-authorization)$/i;

/** A line of a head, without what lets whoever reads it in. */
function field(name, value, url) {
  if (SECRET.test(name)) return `${name}: (not shown)`;
  if (/^location$/i.test(name) && value.includes("@")) {
    return `${name}: ${withoutUser(text(value), url)}`;
  }
  return `${name}: ${text(value)}`;
}

function withoutUser(location, from) {
  try {
    const url = new URL(location, from);
    return Object.assign(url, { username: "", password: "" }).href;
  } catch {
    return "(not shown)";
  }
}

/** Header fields are bytes, which Node.js gives as one char each. */
function text(bytes) {
  return Buffer.from(String(bytes), "latin1").toString();
}

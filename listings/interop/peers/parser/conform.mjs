// What eventsource-parser reads of each fixture, however its bytes are cut: a
// line of JSON for each outcome, as the crates' conform prints them.

import { readFileSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { argv, exit } from 'node:process';
import { createParser } from 'eventsource-parser';

const require = createRequire(import.meta.url);
const version = require('./package-lock.json')
  .packages['node_modules/eventsource-parser'].version;

/** As the package's own stream form: behind a decoder of UTF-8. */
function read(chunks) {
  const blocks = [];
  let retry = null;
  let lastEventId = '';
  let ended = null;
  const parser = createParser({
    onId(id) {
      lastEventId = id;
      blocks.push({ kind: 'id', id });
    },
    onEvent({ event = null, data, id = null }) {
      blocks.push({ type: event, data, id });
    },
    onRetry(time) {
      // JSON has no infinity, which is what very many digits are.
      retry = Math.min(time, Number.MAX_SAFE_INTEGER);
    },
  });
  const decoder = new TextDecoder();
  try {
    for (const chunk of chunks) {
      parser.feed(decoder.decode(chunk, { stream: true }));
    }
  } catch (error) {
    ended = { error: String(error) };
  }
  return { blocks, retry, lastEventId, ended };
}

function* cuts(bytes) {
  yield ['whole', [bytes]];
  for (let at = 0; at <= bytes.length; at += 1) {
    yield [`cut at ${at}`, [bytes.subarray(0, at), bytes.subarray(at)]];
  }
  yield ['byte by byte', Array.from(bytes, (byte) => Uint8Array.of(byte))];
}

const folders = argv.slice(2);
if (folders.length === 0) {
  console.error('Which folders are the fixtures in?');
  exit(1);
}
for (const folder of folders) {
  for (const file of readdirSync(folder).filter((it) => it.endsWith('.sse'))) {
    const known = new Set();
    for (const [cut, chunks] of cuts(readFileSync(join(folder, file)))) {
      const outcome = read(chunks);
      const text = JSON.stringify(outcome);
      if (!known.has(text)) {
        known.add(text);
        const fixture = file.slice(0, -'.sse'.length);
        const form = 'createParser';
        const reader = 'eventsource-parser';
        console.log(JSON.stringify(
          { reader, version, form, fixture, cut, ...outcome },
        ));
      }
    }
  }
}

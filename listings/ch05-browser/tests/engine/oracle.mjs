// Reads streams from stdin, has the lab at `base` send them to npm's
// EventSource, and prints what it read. `oracle.rs` runs this.
//
//     node oracle.mjs base < streams.json

import process from "node:process";
import { text } from "node:stream/consumers";
import { EventSource } from "../../node/node_modules/eventsource/dist/index.js";
import { fromChars } from "../../page/bytes.js";
import { run } from "../../page/lab.js";

const [base] = process.argv.slice(2);
const streams = JSON.parse(await text(process.stdin));
const results = streams.map(async ({ chars, waitForBack }) => {
  let heard = 0;
  let isOver = false;
  // Whatever the type, also one that nobody thought of.
  class Every extends EventSource {
    dispatchEvent(event) {
      isOver ||= event.type === "error" && event.data === undefined;
      heard += Number(event.data !== undefined && !isOver);
      return super.dispatchEvent(event);
    }
  }
  const its = { EventSource: Every, waitForEnd: 50_000, waitForBack };
  const result = await run(fromChars(chars), { base, ...its });
  return { ...result, heard };
});
// As what JSON has, which is rounded: that is of no matter here.
const asNumber = (_, value) =>
  typeof value === "bigint" ? Number(value) : value;
process.stdout.write(JSON.stringify(await Promise.all(results), asNumber));

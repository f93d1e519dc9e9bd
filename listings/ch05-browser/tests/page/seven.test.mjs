// Seven streams, without a browser's limit of six.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Seven } from "../../page/seven.js";
import { fakeEventSource } from "./fake.mjs";

test("one after another, and each can be closed", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const EventSource = fakeEventSource();
  let told = 0;
  const seven = new Seven({
    ...{ url: "http://localhost:9005/events", pace: 100, EventSource },
    tell: () => (told += 1),
  });
  const states = () => seven.readers.map(({ state }) => state);
  seven.open();
  t.mock.timers.tick(0);
  assert.equal(EventSource.all.length, 1);
  t.mock.timers.tick(500);
  assert.equal(EventSource.all.length, 6);
  EventSource.all.forEach((source) => source.open());
  t.mock.timers.tick(100);
  assert.deepEqual(states(), [...Array(6).fill("open"), "connecting"]);
  seven.readers[2].close();
  EventSource.last.open();
  assert.equal(states()[2], "closed");
  assert.equal(states()[6], "open");
  assert.ok(told > 0);
  seven.close();
  assert.ok(EventSource.all.every(({ readyState }) => readyState === 2));
});

test("closed while they open, no more are opened", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const EventSource = fakeEventSource();
  const seven = new Seven({ url: "http://localhost/", EventSource, pace: 100 });
  seven.open();
  t.mock.timers.tick(100);
  seven.close();
  t.mock.timers.tick(1_000);
  assert.equal(EventSource.all.length, 2);
});

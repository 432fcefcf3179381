// Many requests in one isolate, in turn on one thread, each with waits of its own, some of whose clients go away.
import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { eventually, pause } from "./listener.mjs";
import { startPlatform } from "./platform.mjs";

const MANY = 400;

/** What the runtime and the log say when something has gone wrong, as whole words: ids are random, and may hold any of them. */
const WRONG = /\bhung\b|\bdifferent request\b|\bUncaught\b|\bRuntimeError\b|\bpanic(?:ked)?\b/i;

test("in a crowd of requests everybody who stays is answered, and those who leave take nobody with them", { timeout: 90_000 }, async (t) => {
  const platform = await startPlatform(t, { changes: { RATE_LIMIT_QUOTA: "100000" } });
  const { home } = platform;
  const held = platform.key();
  await platform.replicate(held);
  home.delay = 30;

  const kinds = [
    () => platform.upload(held.key, "film.mp4"),
    () => platform.playback(held.key, "acme/film.mp4"),
    // Keys that only KV knows, and keys that only the home region knows.
    async () => {
      const made = platform.key();
      await platform.replicate(made);
      return platform.upload(made.key, "film.mp4");
    },
    () => platform.upload(platform.knownKey().key, "film.mp4"),
    // To the object store, and to the home region.
    () => platform.call("POST", "/upload-url", { key: held.key, body: { filename: "long.mp4", multipart: true, size: 6_000_000 } }),
    () => platform.call("GET", "/videos/vid_aaaaaaaaaaaaaaaaaaaaaaaaaa", { key: held.key }),
    () => gone(platform.url, platform.knownKey().key, 5),
    () => gone(platform.url, held.key, 1),
  ];
  const counts = {};
  const slowest = { took: 0 };
  const calls = Array.from({ length: MANY }, async (_, index) => {
    await pause(index * 8);
    const answer = await kinds[index % kinds.length]();
    if (answer === undefined) return;
    counts[answer.status] = (counts[answer.status] ?? 0) + 1;
    if (answer.took > slowest.took) Object.assign(slowest, { took: answer.took, kind: index % kinds.length });
  });
  await Promise.all(calls);
  const told = JSON.stringify({ counts, slowest });
  assert.equal(Object.values(counts).reduce((sum, count) => sum + count, 0), (MANY / kinds.length) * 6, told);
  // The home region is asked at most so often about keys that nobody holds; whoever comes too late is told to come again.
  for (const status of Object.keys(counts)) assert.ok(["200", "404", "503"].includes(status), told);
  assert.ok(counts[200] >= (MANY / kinds.length) * 4, told);
  assert.ok(slowest.took < 20_000, told);
  assert.equal(platform.printed.split("\n").find((line) => WRONG.test(line)), undefined);

  home.delay = 0;
  const after = await platform.upload(held.key, "after.mp4");
  assert.equal(after.status, 200, after.text);
  await eventually("the last grant", () => platform.kinesis.records.some(({ fact }) => fact.events[0].data.grantId === after.json.grantId));
});

/** An upload whose client goes away after some milliseconds. */
function gone(url, key, milliseconds) {
  return new Promise((resolve) => {
    const request = http.request(`${url}/upload-url`, { method: "POST", headers: { "x-api-key": key, "content-type": "application/json" } });
    request.on("error", () => resolve(undefined));
    request.on("response", (response) => {
      response.resume();
      resolve(undefined);
    });
    request.end('{"filename":"film.mp4"}');
    setTimeout(() => {
      request.destroy();
      resolve(undefined);
    }, milliseconds);
  });
}

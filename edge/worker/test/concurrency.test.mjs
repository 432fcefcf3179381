// Many concurrent requests in one isolate, some of whose clients disconnect.
import assert from "node:assert/strict";
import http from "node:http";
import { test } from "node:test";
import { eventually, sleep } from "./listener.mjs";
import { startPlatform } from "./platform.mjs";

const REQUESTS = 400;

/** Words in the output that indicate a failure. They are matched as whole words, because random ids may contain them. */
const FAILURE = /\bhung\b|\bdifferent request\b|\bUncaught\b|\bRuntimeError\b|\bpanic(?:ked)?\b/i;

test("among many concurrent requests, clients that disconnect do not affect the others, and all others get a response", { timeout: 90_000 }, async (t) => {
  const platform = await startPlatform(t, { changes: { RATE_LIMIT_QUOTA: "100000" } });
  const { home } = platform;
  const replicated = platform.newKey();
  await platform.replicate(replicated);
  home.delay = 30;

  const kinds = [
    () => platform.upload(replicated.key, "film.mp4"),
    () => platform.playback(replicated.key, "acme/film.mp4"),
    // Keys that are only in KV, and keys that are only in the home region.
    async () => {
      const apiKey = platform.newKey();
      await platform.replicate(apiKey);
      return platform.upload(apiKey.key, "film.mp4");
    },
    () => platform.upload(platform.newKnownKey().key, "film.mp4"),
    // Requests that call the object store or the home region.
    () => platform.call("POST", "/upload-url", { key: replicated.key, body: { filename: "long.mp4", multipart: true, size: 6_000_000 } }),
    () => platform.call("GET", "/videos/vid_aaaaaaaaaaaaaaaaaaaaaaaaaa", { key: replicated.key }),
    () => disconnect(platform.url, platform.newKnownKey().key, 5),
    () => disconnect(platform.url, replicated.key, 1),
  ];
  const counts = {};
  const slowest = { duration: 0 };
  const calls = Array.from({ length: REQUESTS }, async (_, index) => {
    await sleep(index * 8);
    const response = await kinds[index % kinds.length]();
    if (response === undefined) return;
    counts[response.status] = (counts[response.status] ?? 0) + 1;
    if (response.duration > slowest.duration) Object.assign(slowest, { duration: response.duration, kind: index % kinds.length });
  });
  await Promise.all(calls);
  const summary = JSON.stringify({ counts, slowest });
  assert.equal(Object.values(counts).reduce((sum, count) => sum + count, 0), (REQUESTS / kinds.length) * 6, summary);
  // The Worker limits its calls to the home region about keys that it does not have in memory. Requests above the limit get 503.
  for (const status of Object.keys(counts)) assert.ok(["200", "404", "503"].includes(status), summary);
  assert.ok(counts[200] >= (REQUESTS / kinds.length) * 4, summary);
  assert.ok(slowest.duration < 20_000, summary);
  assert.equal(platform.output.split("\n").find((line) => FAILURE.test(line)), undefined);

  home.delay = 0;
  const after = await platform.upload(replicated.key, "after.mp4");
  assert.equal(after.status, 200, after.text);
  await eventually("the last grant is in the stream", () => platform.kinesis.records.some(({ fact }) => fact.events[0].data.grantId === after.json.grantId));
});

/** Sends a request for an upload URL and disconnects after some milliseconds. */
function disconnect(url, key, milliseconds) {
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

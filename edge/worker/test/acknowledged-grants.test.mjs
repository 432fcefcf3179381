// The delivery of grants from the API through the queue to the stream: despite faults of
// the stream, every acknowledged grant arrives, in exactly one commit.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, sleep } from "./listener.mjs";
import { startPlatform } from "./platform.mjs";

const OUTAGE_MILLISECONDS = 60_000;
const ROUNDS = 24;

/** The outcomes of the first requests after the outage, in order. */
const OUTCOMES_OF_RECOVERY = ["failed", "throttled", "failed", "partial", "lost", "partial", "garbled", "throttled", "partial", "lost", "accepted", "down", "partial", "garbled"];

test("an outage of one minute, partial failures, throttling and lost responses neither lose a grant nor record it in two commits", { timeout: 99_000 }, async (t) => {
  const platform = await startPlatform(t, { withFaults: true });
  const { kinesis } = platform;
  await platform.setFaults({ maxRetryDelay: 8 });
  const keys = [platform.newKey({ projectId: "acme" }), platform.newKey({ projectId: "globex" })];
  for (const apiKey of keys) await platform.replicate(apiKey);

  kinesis.always = "down";
  const start = Date.now();
  const acknowledged = new Map();
  for (let round = 0; round < ROUNDS; round += 1) {
    const calls = keys.flatMap(({ key, tenant: { projectId } }) =>
      [0, 1, 2].flatMap((number) => [
        platform.upload(key, `film-${round}-${number}.mp4`).then((response) => ({ response, projectId, type: "upload.granted" })),
        platform.playback(key, `${projectId}/film-${number}.mp4`).then((response) => ({ response, projectId, type: "playback.granted" })),
      ]),
    );
    for (const { response, projectId, type } of await Promise.all(calls)) {
      assert.equal(response.status, 200, response.text);
      const { grantId, videoId } = response.json;
      assert.ok(!acknowledged.has(grantId), "every grant has a new id");
      acknowledged.set(grantId, { projectId, type, videoId });
    }
    await sleep(Math.max(0, start + ((round + 1) * OUTAGE_MILLISECONDS) / ROUNDS - Date.now()));
  }
  assert.equal(acknowledged.size, ROUNDS * 12);
  assert.equal(kinesis.records.length, 0, "the stream is down");
  assert.ok(kinesis.counts.down > 5, "the Worker has retried during the outage");

  kinesis.next = [...OUTCOMES_OF_RECOVERY];
  kinesis.always = "accepted";
  const arrived = () => new Set(kinesis.records.map(({ fact }) => fact.events[0].data.grantId));
  await eventually("every acknowledged grant is in the stream", () => arrived().size >= acknowledged.size && kinesis.next.length === 0, 28);
  // Records that arrive later are duplicates and must be of the same commits.
  await sleep(2_000);

  for (const outcome of ["failed", "throttled", "partial", "lost", "garbled"]) assert.ok(kinesis.counts[outcome] > 0, `no request ${outcome}`);
  assert.ok(kinesis.records.length > acknowledged.size, "lost responses have led to duplicate records, which this test is about");
  const commits = new Map();
  for (const { fact, partitionKey } of kinesis.records) {
    assert.equal(partitionKey, fact.stream);
    const before = commits.get(`${fact.stream} ${fact.commitId}`);
    if (before !== undefined) assert.deepEqual(fact, before, "a duplicate record equals the first one");
    commits.set(`${fact.stream} ${fact.commitId}`, fact);
  }
  assert.equal(commits.size, acknowledged.size, "one commit per grant, and no other commits");
  for (const { stream, events } of commits.values()) {
    assert.equal(events.length, 1);
    const granted = acknowledged.get(events[0].data.grantId);
    assert.ok(granted, "every grant in the stream was acknowledged");
    assert.equal(events[0].type, granted.type);
    const expected = granted.videoId === undefined ? `grants/${granted.projectId}/` : `video/${granted.projectId}/${granted.videoId}`;
    assert.ok(stream.startsWith(expected), `${stream} does not begin with ${expected}`);
  }
  assert.deepEqual(platform.deadLetters, []);
});

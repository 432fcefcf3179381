// The road of grants: the API, the queue, the stream; whatever the stream does, nothing is lost and nothing comes twice.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, pause } from "./listener.mjs";
import { startPlatform } from "./platform.mjs";

const OUTAGE = 60_000;
const ROUNDS = 24;

/** What the first requests after the outage get, one after the other. */
const RECOVERY = ["failed", "throttled", "failed", "partly", "lost", "partly", "garbled", "throttled", "partly", "lost", "accepted", "down", "partly", "garbled"];

test("an outage of a minute, partial failures, throttling and lost answers lose no grant and double none", { timeout: 99_000 }, async (t) => {
  const platform = await startPlatform(t, { withFaults: true });
  const { kinesis } = platform;
  await platform.faults({ longestReturn: 8 });
  const keys = [platform.key({ projectId: "acme" }), platform.key({ projectId: "globex" })];
  for (const made of keys) await platform.replicate(made);

  kinesis.always = "down";
  const began = Date.now();
  const acknowledged = new Map();
  for (let round = 0; round < ROUNDS; round += 1) {
    const calls = keys.flatMap(({ key, tenant: { projectId } }) =>
      [0, 1, 2].flatMap((number) => [
        platform.upload(key, `film-${round}-${number}.mp4`).then((answer) => ({ answer, projectId, type: "upload.granted" })),
        platform.playback(key, `${projectId}/film-${number}.mp4`).then((answer) => ({ answer, projectId, type: "playback.granted" })),
      ]),
    );
    for (const { answer, projectId, type } of await Promise.all(calls)) {
      assert.equal(answer.status, 200, answer.text);
      const { grantId, videoId } = answer.json;
      assert.ok(!acknowledged.has(grantId), "every grant is another one");
      acknowledged.set(grantId, { projectId, type, videoId });
    }
    await pause(Math.max(0, began + ((round + 1) * OUTAGE) / ROUNDS - Date.now()));
  }
  assert.equal(acknowledged.size, ROUNDS * 12);
  assert.equal(kinesis.records.length, 0, "the stream is down");
  assert.ok(kinesis.had.down > 5, "the Worker has tried all the time");

  kinesis.next = [...RECOVERY];
  kinesis.always = "accepted";
  const arrived = () => new Set(kinesis.records.map(({ fact }) => fact.events[0].data.grantId));
  await eventually("every acknowledged grant in the stream", () => arrived().size >= acknowledged.size && kinesis.next.length === 0, 28);
  // What is still on its way would be a repetition: it must be one of the same commits.
  await pause(2_000);

  for (const outcome of ["failed", "throttled", "partly", "lost", "garbled"]) assert.ok(kinesis.had[outcome] > 0, `no request ${outcome}`);
  assert.ok(kinesis.records.length > acknowledged.size, "lost answers have led to duplicates, which is what the test is about");
  const commits = new Map();
  for (const { fact, partitionKey } of kinesis.records) {
    assert.equal(partitionKey, fact.stream);
    const before = commits.get(`${fact.stream} ${fact.commitId}`);
    if (before !== undefined) assert.deepEqual(fact, before, "a repetition is the same in every byte");
    commits.set(`${fact.stream} ${fact.commitId}`, fact);
  }
  assert.equal(commits.size, acknowledged.size, "one commit for each grant, and nothing else");
  for (const { stream, events } of commits.values()) {
    assert.equal(events.length, 1);
    const granted = acknowledged.get(events[0].data.grantId);
    assert.ok(granted, "what arrives was acknowledged");
    assert.equal(events[0].type, granted.type);
    const expected = granted.videoId === undefined ? `grants/${granted.projectId}/` : `video/${granted.projectId}/${granted.videoId}`;
    assert.ok(stream.startsWith(expected), `${stream} is not ${expected}`);
  }
  assert.deepEqual(platform.deadLetters, []);
});

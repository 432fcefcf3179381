// When a grant counts as accepted, and what happens when the queue does not take it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, pause } from "./listener.mjs";
import { assertProblem, startPlatform } from "./platform.mjs";

test("with JOURNAL=queue", async (t) => {
  const platform = await startPlatform(t, { withFaults: true });
  const { key } = platform.knownKey();
  assert.equal((await platform.upload(key, "first.mp4")).status, 200);

  await t.test("a grant that the queue refuses is answered 503 without a URL", async () => {
    await platform.faults({ queueRefuses: true });
    for (const answer of [await platform.upload(key, "refused.mp4"), await platform.playback(key, "acme/refused.mp4")]) {
      assertProblem(answer, 503, "unavailable");
      assert.match(answer.headers.get("retry-after"), /^[1-9]\d*$/);
      assert.ok(!/https?:/.test(answer.text), answer.text);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      const line = await eventually("the failure's log line", () => platform.lines.find((it) => it["request.id"] === answer.json.requestId && it.error));
      assert.equal(line["http.status"], 503);
    }
    await platform.faults({});
  });

  await t.test("the caller's own request id is in the refusal and in the log", async () => {
    await platform.faults({ queueRefuses: true });
    const answer = await platform.upload(key, "named.mp4", { headers: { "x-request-id": "mine-1234" } });
    assertProblem(answer, 503, "unavailable");
    assert.equal(answer.headers.get("x-request-id"), "mine-1234");
    await eventually("the log line", () => platform.lines.some((it) => it["request.id"] === "mine-1234" && it.error));
    await platform.faults({});
  });

  await t.test("a refused grant can be had again with the same Idempotency-Key, and is one in the stream", async () => {
    await platform.faults({ queueRefuses: true });
    const headers = { "idempotency-key": "again-1" };
    assertProblem(await platform.upload(key, "again.mp4", { headers }), 503, "unavailable");
    await platform.faults({});
    const [first, second] = [await platform.upload(key, "again.mp4", { headers }), await platform.upload(key, "again.mp4", { headers })];
    assert.equal(first.status, 200);
    assert.equal(first.json.grantId, second.json.grantId);
    const ofGrant = () => platform.kinesis.records.filter(({ fact }) => fact.events[0].data.grantId === first.json.grantId);
    await eventually("both records", () => ofGrant().length === 2);
    assert.equal(new Set(ofGrant().map(({ fact }) => fact.commitId)).size, 1);
  });

  await t.test("an answer waits until the queue has its grant, and others do not wait for it", async () => {
    await platform.faults({ queueDelay: 2_000 });
    const slow = platform.upload(key, "slow.mp4");
    await pause(50);
    const first = await Promise.race([slow, platform.call("GET", "/healthz")]);
    assert.equal(first.text, '{"status":"ok"}');
    const answer = await slow;
    assert.equal(answer.status, 200);
    assert.ok(answer.took >= 1_900, `${answer.took} ms`);
    await platform.faults({});
  });
});

test("with JOURNAL=wait-until", async (t) => {
  const platform = await startPlatform(t, { changes: { JOURNAL: "wait-until" }, withFaults: true });
  const { key } = platform.knownKey();
  assert.equal((await platform.upload(key, "first.mp4")).status, 200);
  await eventually("the first grant", () => platform.kinesis.records.length === 1);

  await t.test("an answer leaves at once and its grant is sent after it", async () => {
    await platform.faults({ queueDelay: 4_000 });
    const answer = await platform.upload(key, "quick.mp4");
    assert.equal(answer.status, 200);
    assert.ok(answer.took < 3_000, `${answer.took} ms`);
    assert.equal(platform.kinesis.records.length, 1);
    await eventually("the grant", () => platform.kinesis.records.some(({ fact }) => fact.events[0].data.grantId === answer.json.grantId));
    await platform.faults({});
  });

  await t.test("a grant that the queue then refuses is logged as lost", async () => {
    await platform.faults({ queueRefuses: true });
    const answer = await platform.upload(key, "lost.mp4");
    assert.equal(answer.status, 200);
    const line = await platform.lineWith("a grant is lost");
    assert.equal(line.stream, `video/acme/${answer.json.videoId}`);
    await platform.faults({});
  });
});

test("with JOURNAL=home a home region that does not know the call leaves the caller with 503 and the operator with the reason", async (t) => {
  const platform = await startPlatform(t, { changes: { JOURNAL: "home" } });
  const { key } = platform.knownKey();
  assertProblem(await platform.upload(key, "first.mp4"), 503, "unavailable");
  assert.equal(platform.home.callsNamed("record").length, 1);
  const line = await platform.lineWith("request failed");
  assert.match(JSON.stringify(line.error), /does not know record/);
});

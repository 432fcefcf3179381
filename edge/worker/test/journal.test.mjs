// The values of JOURNAL: when a grant counts as accepted, and the responses when the queue refuses it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, sleep } from "./listener.mjs";
import { assertProblem, startPlatform } from "./platform.mjs";

test("with JOURNAL=queue", async (t) => {
  const platform = await startPlatform(t, { withFaults: true });
  const { key } = platform.newKnownKey();
  assert.equal((await platform.upload(key, "first.mp4")).status, 200);

  await t.test("the response is 503 without a URL if the queue refuses the grant", async () => {
    await platform.setFaults({ queueRefuses: true });
    for (const response of [await platform.upload(key, "refused.mp4"), await platform.playback(key, "acme/refused.mp4")]) {
      assertProblem(response, 503, "unavailable");
      assert.match(response.headers.get("retry-after"), /^[1-9]\d*$/);
      assert.ok(!/https?:/.test(response.text), response.text);
      assert.equal(response.headers.get("cache-control"), "no-store");
      const line = await eventually("the log line of the failure", () => platform.logLines.find((it) => it["request.id"] === response.json.requestId && it.error));
      assert.equal(line["http.status"], 503);
    }
    await platform.setFaults({});
  });

  await t.test("the caller's request id is in the error response and in the log", async () => {
    await platform.setFaults({ queueRefuses: true });
    const response = await platform.upload(key, "named.mp4", { headers: { "x-request-id": "mine-1234" } });
    assertProblem(response, 503, "unavailable");
    assert.equal(response.headers.get("x-request-id"), "mine-1234");
    await eventually("the log line", () => platform.logLines.some((it) => it["request.id"] === "mine-1234" && it.error));
    await platform.setFaults({});
  });

  await t.test("a refused request can be retried with the same Idempotency-Key, and has one commit in the stream", async () => {
    await platform.setFaults({ queueRefuses: true });
    const headers = { "idempotency-key": "again-1" };
    assertProblem(await platform.upload(key, "again.mp4", { headers }), 503, "unavailable");
    await platform.setFaults({});
    const [first, second] = [await platform.upload(key, "again.mp4", { headers }), await platform.upload(key, "again.mp4", { headers })];
    assert.equal(first.status, 200);
    assert.equal(first.json.grantId, second.json.grantId);
    const ofGrant = () => platform.kinesis.records.filter(({ fact }) => fact.events[0].data.grantId === first.json.grantId);
    await eventually("both records are in the stream", () => ofGrant().length === 2);
    assert.equal(new Set(ofGrant().map(({ fact }) => fact.commitId)).size, 1);
  });

  await t.test("a response waits until the queue accepts its grant, and other responses do not wait", async () => {
    await platform.setFaults({ queueDelay: 2_000 });
    const slow = platform.upload(key, "slow.mp4");
    await sleep(50);
    const first = await Promise.race([slow, platform.call("GET", "/healthz")]);
    assert.equal(first.text, '{"status":"ok"}');
    const response = await slow;
    assert.equal(response.status, 200);
    assert.ok(response.duration >= 1_900, `${response.duration} ms`);
    await platform.setFaults({});
  });
});

test("with JOURNAL=wait-until", async (t) => {
  const platform = await startPlatform(t, { changes: { JOURNAL: "wait-until" }, withFaults: true });
  const { key } = platform.newKnownKey();
  assert.equal((await platform.upload(key, "first.mp4")).status, 200);
  await eventually("the first grant is in the stream", () => platform.kinesis.records.length === 1);

  await t.test("a response is sent at once, and its grant after it", async () => {
    await platform.setFaults({ queueDelay: 4_000 });
    const response = await platform.upload(key, "quick.mp4");
    assert.equal(response.status, 200);
    assert.ok(response.duration < 3_000, `${response.duration} ms`);
    assert.equal(platform.kinesis.records.length, 1);
    await eventually("the grant is in the stream", () => platform.kinesis.records.some(({ fact }) => fact.events[0].data.grantId === response.json.grantId));
    await platform.setFaults({});
  });

  await t.test("a grant that the queue refuses after the response is logged as lost", async () => {
    await platform.setFaults({ queueRefuses: true });
    const response = await platform.upload(key, "lost.mp4");
    assert.equal(response.status, 200);
    const line = await platform.findLogLine("a grant is lost");
    assert.equal(line.stream, `video/acme/${response.json.videoId}`);
    await platform.setFaults({});
  });
});

test("with JOURNAL=home, if the home region does not know the call, the response is 503 and the log has the reason", async (t) => {
  const platform = await startPlatform(t, { changes: { JOURNAL: "home" } });
  const { key } = platform.newKnownKey();
  assertProblem(await platform.upload(key, "first.mp4"), 503, "unavailable");
  assert.equal(platform.home.callsNamed("record").length, 1);
  const line = await platform.findLogLine("request failed");
  assert.match(JSON.stringify(line.error), /does not know record/);
});

// Messages of the queue that become dead letters.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, sleep } from "./listener.mjs";
import { startPlatform } from "./platform.mjs";

test("a message that is not a fact becomes a dead letter unchanged, and other messages are delivered", async (t) => {
  const platform = await startPlatform(t);
  const { key } = platform.newKnownKey();
  const queue = await platform.miniflare.getQueueProducer("GRANTS", "edge");
  const invalid = ['{"v":1,"stream":"video/acme/none"', "not JSON ☠", '{"v":2,"later":true}', ""];
  const granted = [];
  for (const body of invalid) {
    await queue.send(body, { contentType: "text" });
    const response = await platform.upload(key, `beside-${granted.length}.mp4`);
    assert.equal(response.status, 200, response.text);
    granted.push(response.json.grantId);
  }
  await eventually("all dead letters are delivered", () => platform.deadLetters.length === invalid.length);
  assert.deepEqual([...platform.deadLetters].sort(), [...invalid].sort());
  await eventually("all grants are in the stream", () => platform.kinesis.records.length === granted.length);
  await sleep(1_500);
  assert.deepEqual(platform.kinesis.records.map(({ fact }) => fact.events[0].data.grantId).sort(), granted.sort());
  assert.equal(platform.deadLetters.length, invalid.length, "each becomes a dead letter once");
  const line = await platform.findLogLine("is no fact");
  assert.ok(line["message.id"] && line.error, JSON.stringify(line));
});

test("a message that is not a text becomes a dead letter", async (t) => {
  const platform = await startPlatform(t);
  const { key } = platform.newKnownKey();
  const queue = await platform.miniflare.getQueueProducer("GRANTS", "edge");
  await queue.send({ stream: "acme" }, { contentType: "json" });
  assert.equal((await platform.upload(key, "beside.mp4")).status, 200);
  await eventually("the grant is in the stream", () => platform.kinesis.records.length === 1);
  const [body] = await eventually("the dead letter is delivered", () => platform.deadLetters.length === 1 && platform.deadLetters);
  assert.deepEqual(typeof body === "string" ? JSON.parse(body) : body, { stream: "acme" });
});

test("a message that is not a fact stays in the queue while the dead-letter queue refuses messages", async (t) => {
  const platform = await startPlatform(t, { withFaults: true });
  await platform.setFaults({ deadQueueRefuses: true, maxRetryDelay: 1 });
  const queue = await platform.miniflare.getQueueProducer("GRANTS", "edge");
  await queue.send("not a fact", { contentType: "text" });
  await platform.findLogLine("is no fact");
  assert.deepEqual(platform.deadLetters, []);
  await platform.setFaults({ maxRetryDelay: 1 });
  await eventually("the dead letter is delivered", () => platform.deadLetters.length === 1);
  assert.deepEqual(platform.deadLetters, ["not a fact"]);
});

test("a fact that the stream never accepts becomes a dead letter after its last delivery", async (t) => {
  const platform = await startPlatform(t, { maxRetries: 1, withFaults: true });
  platform.kinesis.always = "down";
  await platform.setFaults({ maxRetryDelay: 1 });
  const { key } = platform.newKnownKey();
  const response = await platform.upload(key, "never.mp4");
  const [body] = await eventually("the dead letter is delivered", () => platform.deadLetters.length === 1 && platform.deadLetters, 15);
  assert.equal(JSON.parse(body).events[0].data.grantId, response.json.grantId);
});

test("the delay until the next delivery grows with the number of deliveries", async (t) => {
  const platform = await startPlatform(t, { withFaults: true });
  platform.kinesis.always = "down";
  await platform.setFaults({ maxRetryDelay: 1 });
  assert.equal((await platform.upload(platform.newKnownKey().key, "late.mp4")).status, 200);
  const retry = async (number) => (await platform.deliveries()).retries.find(({ attempts }) => attempts === number);
  const third = await eventually("the third delivery", () => retry(3), 20);
  const first = await retry(1);
  // From 5 and 20 seconds, each shortened by up to half.
  assert.ok(first.delaySeconds <= 5 && third.delaySeconds >= 10, JSON.stringify([first, third]));
});

test("a message that cannot be acknowledged is delivered again, and ends no other request", async (t) => {
  const platform = await startPlatform(t, { withFaults: true });
  await platform.setFaults({ ackFails: true, maxRetryDelay: 1 });
  assert.equal((await platform.upload(platform.newKnownKey().key, "first.mp4")).status, 200);
  let open;
  platform.home.gate = new Promise((resolve) => (open = resolve));
  const others = Array.from({ length: 3 }, () => platform.newKnownKey());
  const waiting = others.map(({ key }) => platform.upload(key, "other.mp4"));
  await eventually("the others wait for the home region", () => others.every(({ hash }) => platform.home.calls.some((call) => call.key === hash)));
  const before = (await platform.deliveries()).failedAcks;
  await eventually("an acknowledgement fails while they wait", async () => (await platform.deliveries()).failedAcks > before, 20);
  open();
  for (const response of await Promise.all(waiting)) assert.equal(response.status, 200, response.text);
  await platform.setFaults({ maxRetryDelay: 1 });
  const grants = () => new Set(platform.kinesis.records.map(({ fact }) => fact.commitId)).size;
  await eventually("every grant is in the stream", () => grants() === 4, 20);
  assert.ok(platform.kinesis.records.length > 4, "the message was delivered again");
  assert.ok(!platform.output.includes("has ended"), "no instance has ended");
});

// Messages of the queue that are no facts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, pause } from "./listener.mjs";
import { startPlatform } from "./platform.mjs";

test("a message that is no fact goes to the dead letters as it is, and the others go on", async (t) => {
  const platform = await startPlatform(t);
  const { key } = platform.knownKey();
  const queue = await platform.miniflare.getQueueProducer("GRANTS", "edge");
  const poison = ['{"v":1,"stream":"video/acme/none"', "not JSON ☠", '{"v":2,"later":true}', ""];
  const granted = [];
  for (const body of poison) {
    await queue.send(body, { contentType: "text" });
    const answer = await platform.upload(key, `beside-${granted.length}.mp4`);
    assert.equal(answer.status, 200, answer.text);
    granted.push(answer.json.grantId);
  }
  await eventually("all dead letters", () => platform.deadLetters.length === poison.length);
  assert.deepEqual([...platform.deadLetters].sort(), [...poison].sort());
  await eventually("all grants", () => platform.kinesis.records.length === granted.length);
  await pause(1_500);
  assert.deepEqual(platform.kinesis.records.map(({ fact }) => fact.events[0].data.grantId).sort(), granted.sort());
  assert.equal(platform.deadLetters.length, poison.length, "each goes there once");
  const line = await platform.lineWith("is no fact");
  assert.ok(line["message.id"] && line.error, JSON.stringify(line));
});

test("a message that is no text goes to the dead letters too", async (t) => {
  const platform = await startPlatform(t);
  const { key } = platform.knownKey();
  const queue = await platform.miniflare.getQueueProducer("GRANTS", "edge");
  await queue.send({ stream: "acme" }, { contentType: "json" });
  assert.equal((await platform.upload(key, "beside.mp4")).status, 200);
  await eventually("the grant", () => platform.kinesis.records.length === 1);
  const [body] = await eventually("the dead letter", () => platform.deadLetters.length === 1 && platform.deadLetters);
  assert.deepEqual(typeof body === "string" ? JSON.parse(body) : body, { stream: "acme" });
});

test("a message that is no fact stays in the queue while the dead letters take nothing", async (t) => {
  const platform = await startPlatform(t, { withFaults: true });
  await platform.faults({ deadQueueRefuses: true, longestReturn: 1 });
  const queue = await platform.miniflare.getQueueProducer("GRANTS", "edge");
  await queue.send("not a fact", { contentType: "text" });
  await platform.lineWith("is no fact");
  assert.deepEqual(platform.deadLetters, []);
  await platform.faults({ longestReturn: 1 });
  await eventually("the dead letter", () => platform.deadLetters.length === 1);
  assert.deepEqual(platform.deadLetters, ["not a fact"]);
});

test("a fact that the stream never takes ends in the dead letters after its last delivery", async (t) => {
  const platform = await startPlatform(t, { maxRetries: 1, withFaults: true });
  platform.kinesis.always = "down";
  await platform.faults({ longestReturn: 1 });
  const { key } = platform.knownKey();
  const answer = await platform.upload(key, "never.mp4");
  const [body] = await eventually("the dead letter", () => platform.deadLetters.length === 1 && platform.deadLetters, 15);
  assert.equal(JSON.parse(body).events[0].data.grantId, answer.json.grantId);
});

// Recovery from panics: a panic ends only the instance of the Wasm module. The build with probes panics on demand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, sleep } from "./listener.mjs";
import { assertProblem, startPlatform } from "./platform.mjs";

const ENDED = "the Wasm instance has ended with a panic";

/** Sends a request that panics before (`sync`) or after (`async`) it has waited. */
const panic = (platform, kind, headers) => platform.call("GET", "/healthz", { headers: { ...headers, "x-streamio-panic": kind } });

/** Asserts that the API serves requests. */
async function assertServes(platform, key) {
  const response = await platform.upload(key, "after.mp4");
  assert.equal(response.status, 200, response.text);
  assert.equal((await platform.playback(key, "acme/after.mp4")).status, 200);
}

for (const kind of ["sync", "async"]) {
  test(`after a panic (${kind})`, async (t) => {
    const platform = await startPlatform(t, { build: "probes", withFaults: true });
    const { home } = platform;
    const apiKey = platform.newKnownKey();
    const { key } = apiKey;
    await assertServes(platform, key);

    await t.test("the response is 500 with the request's id, which is also in the log", async () => {
      const response = await panic(platform, kind, { "x-request-id": `ended-${kind}` });
      assertProblem(response, 500, "internal-error");
      assert.equal(response.json.requestId, `ended-${kind}`);
      const line = await eventually("the log line", () => platform.logLines.find((it) => it["request.id"] === `ended-${kind}` && it.error));
      assert.equal(line["http.status"], 500);
      const ended = await platform.findLogLine(ENDED);
      assert.match(ended["panic.place"], /^edge\/src\/.*:\d+/, "the path is relative to the repository");
    });

    await t.test("a request without an id gets one", async () => {
      const response = await panic(platform, kind);
      assertProblem(response, 500, "internal-error");
      await eventually("the log line", () => platform.logLines.some((it) => it["request.id"] === response.json.requestId));
    });

    await t.test("the next request succeeds", () => assertServes(platform, key));

    await t.test("the cache of the ended instance is gone", async () => {
      const [reads, calls] = [(await platform.kvReads()).length, home.callsNamed("tenant").length];
      await assertServes(platform, key);
      assert.equal(home.callsNamed("tenant").length, calls, "the key is cached before the panic");
      assertProblem(await panic(platform, kind), 500, "internal-error");
      await assertServes(platform, key);
      assert.equal((await platform.kvReads()).length, reads + 1);
      assert.equal(home.callsNamed("tenant").length, calls + 1);
    });

    await t.test("waiting requests get 500 at once, and the late responses of the home region have no effect", async () => {
      home.delay = 4_000;
      const others = Array.from({ length: 5 }, () => platform.newKnownKey());
      const waiting = others.map((it, index) => platform.upload(it.key, "film.mp4", { headers: { "x-request-id": `waiting-${kind}-${index}` } }));
      await eventually("the home region has received their calls", () => others.every(({ hash }) => home.calls.some((call) => call.key === hash)));
      const start = performance.now();
      assertProblem(await panic(platform, kind), 500, "internal-error");
      const responses = await Promise.all(waiting);
      assert.ok(performance.now() - start < 3_000, "they do not wait for the home region");
      responses.forEach((response, index) => {
        assertProblem(response, 500, "internal-error");
        assert.equal(response.json.requestId, `waiting-${kind}-${index}`);
      });
      home.delay = 0;
      await assertServes(platform, key);
      const panics = platform.logLines.filter((it) => it.message.includes(ENDED)).length;
      await sleep(4_200);
      await assertServes(platform, key);
      for (const it of others) await assertServes(platform, it.key);
      assert.equal(platform.logLines.filter((it) => it.message.includes(ENDED)).length, panics, "no further instance has ended");
      assert.ok(!/Uncaught|RuntimeError|unreachable|out of bounds/.test(platform.output), runtimeError(platform.output));
    });

    await t.test("it recovers from twenty more panics", async () => {
      for (let times = 0; times < 20; times += 1) {
        assertProblem(await panic(platform, kind), 500, "internal-error");
        assert.equal((await platform.upload(key, "between.mp4")).status, 200);
      }
    });
  });
}

test("the formatted message of a panic is not logged, because it may contain a tenant's data", async (t) => {
  const platform = await startPlatform(t, { build: "probes" });
  assertProblem(await panic(platform, "formatted"), 500, "internal-error");
  const line = await platform.findLogLine(ENDED);
  assert.match(line["panic.place"], /^edge\/src\/worker\/probes\.rs:\d+/);
  assert.equal(line["panic.message"], "");
  // The first call uses a new instance, whose panic hook must be the same.
  assertProblem(await panic(platform, "formatted"), 500, "internal-error");
  await eventually("the second log line", () => platform.logLines.filter((it) => it.message.includes(ENDED)).length === 2);
  assert.ok(!platform.output.includes("4294967296"), "the message is not in the log");
});

test("a panic while grants are sent to the stream loses no grant", async (t) => {
  const platform = await startPlatform(t, { build: "probes", withFaults: true });
  const apiKey = platform.newKey();
  await platform.replicate(apiKey);
  platform.kinesis.delay = 3_000;
  const granted = await Promise.all(Array.from({ length: 8 }, (_, index) => platform.upload(apiKey.key, `film-${index}.mp4`)));
  await eventually("the queue's consumer has sent a request", () => platform.kinesis.counts.accepted > 0);
  // Usually all grants. A late grant is in another batch, which the panic may not interrupt.
  const interrupted = platform.kinesis.received;
  assertProblem(await panic(platform, "async"), 500, "internal-error");
  platform.kinesis.delay = 0;
  const arrived = () => new Set(platform.kinesis.records.map(({ fact }) => fact.events[0].data.grantId));
  await eventually("a second batch is delivered", () => platform.kinesis.counts.accepted > 1, 15);
  await eventually("every grant is in the stream", () => arrived().size >= granted.length, 15);
  await eventually("the interrupted grants are in the stream twice", () => platform.kinesis.records.length >= granted.length + interrupted, 15);
  assert.deepEqual([...arrived()].sort(), granted.map(({ json }) => json.grantId).sort());
});

test("a panic while grants wait for the queue loses no acknowledged grant", async (t) => {
  const platform = await startPlatform(t, { build: "probes", withFaults: true });
  const apiKey = platform.newKey();
  await platform.replicate(apiKey);
  assert.equal((await platform.upload(apiKey.key, "first.mp4")).status, 200);
  await platform.setFaults({ queueDelay: 500 });
  const waiting = Array.from({ length: 5 }, (_, index) => platform.upload(apiKey.key, `film-${index}.mp4`));
  await sleep(150);
  assertProblem(await panic(platform, "sync"), 500, "internal-error");
  const responses = await Promise.all(waiting);
  const acknowledged = responses.filter(({ status }) => status === 200).map(({ json }) => json.grantId);
  for (const response of responses) if (response.status !== 200) assertProblem(response, 500, "internal-error");
  const arrived = () => new Set(platform.kinesis.records.map(({ fact }) => fact.events[0].data.grantId));
  await eventually("every acknowledged grant is in the stream", () => acknowledged.every((id) => arrived().has(id)));
});

test("among many concurrent requests, panics end only waiting requests, and no acknowledged grant is lost", async (t) => {
  const platform = await startPlatform(t, { build: "probes", withFaults: true });
  const replicated = platform.newKey();
  await platform.replicate(replicated);
  platform.home.delay = 40;
  const calls = Array.from({ length: 120 }, async (_, index) => {
    await sleep(index * 10);
    if (index % 20 === 19) return panic(platform, index % 40 === 19 ? "sync" : "async");
    return platform.upload(index % 3 === 0 ? platform.newKnownKey().key : replicated.key, `film-${index}.mp4`);
  });
  const responses = await Promise.all(calls);
  const acknowledged = responses.filter(({ status }) => status === 200).map(({ json }) => json.grantId);
  for (const response of responses) {
    if (response.status !== 200) assertProblem(response, response.status, response.status === 500 ? "internal-error" : "unavailable");
  }
  assert.ok(acknowledged.length > 40, `${acknowledged.length} of 114`);
  const arrived = () => new Set(platform.kinesis.records.map(({ fact }) => fact.events[0].data.grantId));
  await eventually("every acknowledged grant is in the stream", () => acknowledged.every((id) => arrived().has(id)), 20);
});

/** Returns the first line with an error of the runtime. */
const runtimeError = (output) => output.split("\n").find((line) => /Uncaught|RuntimeError|unreachable|out of bounds/.test(line));

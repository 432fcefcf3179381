// A panic ends the instance of the Wasm module, and nothing else. The build with probes panics on demand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually, pause } from "./listener.mjs";
import { assertProblem, startPlatform } from "./platform.mjs";

const ENDED = "the Wasm instance has ended with a panic";

/** Asks for a panic before, or after, the request has waited for something. */
const panic = (platform, kind, headers) => platform.call("GET", "/healthz", { headers: { ...headers, "x-streamio-panic": kind } });

/** The API answers as if nothing had been. */
async function assertWell(platform, key) {
  const answer = await platform.upload(key, "after.mp4");
  assert.equal(answer.status, 200, answer.text);
  assert.equal((await platform.playback(key, "acme/after.mp4")).status, 200);
}

for (const kind of ["sync", "async"]) {
  test(`after a panic (${kind})`, async (t) => {
    const platform = await startPlatform(t, { build: "probes", withFaults: true });
    const { home } = platform;
    const made = platform.knownKey();
    const { key } = made;
    await assertWell(platform, key);

    await t.test("the caller gets 500 with the request's id, which is in the log", async () => {
      const answer = await panic(platform, kind, { "x-request-id": `ended-${kind}` });
      assertProblem(answer, 500, "internal-error");
      assert.equal(answer.json.requestId, `ended-${kind}`);
      const line = await eventually("the log line", () => platform.lines.find((it) => it["request.id"] === `ended-${kind}` && it.error));
      assert.equal(line["http.status"], 500);
      const ended = await platform.lineWith(ENDED);
      assert.match(ended["panic.place"], /^edge\/src\/.*:\d+/, "a place in the repository, not on the machine that built it");
    });

    await t.test("a caller without an id gets one", async () => {
      const answer = await panic(platform, kind);
      assertProblem(answer, 500, "internal-error");
      await eventually("the log line", () => platform.lines.some((it) => it["request.id"] === answer.json.requestId));
    });

    await t.test("the next request works", () => assertWell(platform, key));

    await t.test("nothing is remembered from before", async () => {
      const [reads, calls] = [(await platform.reads()).length, home.callsNamed("tenant").length];
      await assertWell(platform, key);
      assert.equal(home.callsNamed("tenant").length, calls, "it is served from memory");
      assertProblem(await panic(platform, kind), 500, "internal-error");
      await assertWell(platform, key);
      assert.equal((await platform.reads()).length, reads + 1);
      assert.equal(home.callsNamed("tenant").length, calls + 1);
    });

    await t.test("those who waited get 500 at once, and what they waited for does no harm when it comes", async () => {
      home.delay = 4_000;
      const others = Array.from({ length: 5 }, () => platform.knownKey());
      const waiting = others.map((it, index) => platform.upload(it.key, "film.mp4", { headers: { "x-request-id": `waited-${kind}-${index}` } }));
      await eventually("their calls", () => others.every(({ hash }) => home.calls.some((call) => call.key === hash)));
      const began = performance.now();
      assertProblem(await panic(platform, kind), 500, "internal-error");
      const answers = await Promise.all(waiting);
      assert.ok(performance.now() - began < 3_000, "they need not wait for the home region");
      answers.forEach((answer, index) => {
        assertProblem(answer, 500, "internal-error");
        assert.equal(answer.json.requestId, `waited-${kind}-${index}`);
      });
      home.delay = 0;
      await assertWell(platform, key);
      const panics = platform.lines.filter((it) => it.message.includes(ENDED)).length;
      await pause(4_200);
      await assertWell(platform, key);
      for (const it of others) await assertWell(platform, it.key);
      assert.equal(platform.lines.filter((it) => it.message.includes(ENDED)).length, panics, "nothing has ended since");
      assert.ok(!/Uncaught|RuntimeError|unreachable|out of bounds/.test(platform.printed), uncaught(platform.printed));
    });

    await t.test("it goes on after twenty more", async () => {
      for (let times = 0; times < 20; times += 1) {
        assertProblem(await panic(platform, kind), 500, "internal-error");
        assert.equal((await platform.upload(key, "between.mp4")).status, 200);
      }
    });
  });
}

test("a panic while a grant is on its way into the stream loses nothing", async (t) => {
  const platform = await startPlatform(t, { build: "probes", withFaults: true });
  const made = platform.key();
  await platform.replicate(made);
  platform.kinesis.delay = 3_000;
  const granted = await Promise.all(Array.from({ length: 8 }, (_, index) => platform.upload(made.key, `film-${index}.mp4`)));
  await eventually("the consumer's request", () => platform.kinesis.had.accepted > 0);
  // Mostly all of them: a grant that was slow is in a batch of its own, which the panic may not have met.
  const underWay = platform.kinesis.asked;
  assertProblem(await panic(platform, "async"), 500, "internal-error");
  platform.kinesis.delay = 0;
  const arrived = () => new Set(platform.kinesis.records.map(({ fact }) => fact.events[0].data.grantId));
  await eventually("a second delivery", () => platform.kinesis.had.accepted > 1, 15);
  await eventually("every grant", () => arrived().size >= granted.length, 15);
  await eventually("those under way, once more", () => platform.kinesis.records.length >= granted.length + underWay, 15);
  assert.deepEqual([...arrived()].sort(), granted.map(({ json }) => json.grantId).sort());
});

test("a panic while a grant waits for the queue does not lose what was acknowledged", async (t) => {
  const platform = await startPlatform(t, { build: "probes", withFaults: true });
  const made = platform.key();
  await platform.replicate(made);
  assert.equal((await platform.upload(made.key, "first.mp4")).status, 200);
  await platform.faults({ queueDelay: 500 });
  const waiting = Array.from({ length: 5 }, (_, index) => platform.upload(made.key, `film-${index}.mp4`));
  await pause(150);
  assertProblem(await panic(platform, "sync"), 500, "internal-error");
  const answers = await Promise.all(waiting);
  const acknowledged = answers.filter(({ status }) => status === 200).map(({ json }) => json.grantId);
  for (const answer of answers) if (answer.status !== 200) assertProblem(answer, 500, "internal-error");
  const arrived = () => new Set(platform.kinesis.records.map(({ fact }) => fact.events[0].data.grantId));
  await eventually("what was acknowledged", () => acknowledged.every((id) => arrived().has(id)));
});

test("among many requests at once, panics end only those that wait, and every acknowledged grant arrives", async (t) => {
  const platform = await startPlatform(t, { build: "probes", withFaults: true });
  const held = platform.key();
  await platform.replicate(held);
  platform.home.delay = 40;
  const calls = Array.from({ length: 120 }, async (_, index) => {
    await pause(index * 10);
    if (index % 20 === 19) return panic(platform, index % 40 === 19 ? "sync" : "async");
    return platform.upload(index % 3 === 0 ? platform.knownKey().key : held.key, `film-${index}.mp4`);
  });
  const answers = await Promise.all(calls);
  const acknowledged = answers.filter(({ status }) => status === 200).map(({ json }) => json.grantId);
  for (const answer of answers) {
    if (answer.status !== 200) assertProblem(answer, answer.status, answer.status === 500 ? "internal-error" : "unavailable");
  }
  assert.ok(acknowledged.length > 40, `${acknowledged.length} of 114`);
  const arrived = () => new Set(platform.kinesis.records.map(({ fact }) => fact.events[0].data.grantId));
  await eventually("every acknowledged grant", () => acknowledged.every((id) => arrived().has(id)), 20);
});

/** The line of the host's that should not be there. */
const uncaught = (printed) => printed.split("\n").find((line) => /Uncaught|RuntimeError|unreachable|out of bounds/.test(line));

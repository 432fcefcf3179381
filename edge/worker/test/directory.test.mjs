// Whose an API key is: the isolate's memory, KV, the home region.
import assert from "node:assert/strict";
import http from "node:http";
import { describe, test } from "node:test";
import { mistyped } from "./api-key.mjs";
import { eventually, pause } from "./listener.mjs";
import { assertProblem, startPlatform } from "./platform.mjs";

/** A read of the API that asks nobody but the directory, and is refused after it. */
const ask = (platform, key) => platform.call("GET", "/videos?limit=0", { key });
/** The key was accepted: what is wrong is the parameter. */
const accepted = (answer) => assertProblem(answer, 400, "invalid-parameter");

describe("API keys", { concurrency: 4 }, () => {
  test("a key that is not in KV is asked for at home once, and then served from memory", async (t) => {
    const platform = await startPlatform(t, { withFaults: true });
    const { key, hash } = platform.knownKey();
    for (let times = 0; times < 20; times += 1) assert.equal((await platform.upload(key, `film-${times}.mp4`)).status, 200);
    assert.deepEqual(platform.home.callsNamed("tenant"), [{ call: "tenant", key: hash }]);
    assert.deepEqual(await platform.reads(), [`k:${hash}`]);
  });

  test("a key that is in KV is never asked for at home", async (t) => {
    const platform = await startPlatform(t, { withFaults: true });
    const made = platform.key();
    await platform.replicate(made);
    for (let times = 0; times < 5; times += 1) assert.equal((await platform.upload(made.key, "film.mp4")).status, 200);
    assert.deepEqual(platform.home.calls, []);
    assert.equal((await platform.reads()).length, 1);
  });

  test("a mistyped key reaches neither KV nor the home region", async (t) => {
    const platform = await startPlatform(t, { withFaults: true });
    const { key } = platform.knownKey();
    assertProblem(await platform.upload(mistyped(key), "film.mp4"), 401, "mistyped-api-key");
    assertProblem(await platform.upload("sio_live_short", "film.mp4"), 401, "malformed-api-key");
    assertProblem(await platform.upload(undefined, "film.mp4"), 401, "missing-api-key");
    assert.deepEqual(await platform.reads(), []);
    assert.deepEqual(platform.home.calls, []);
  });

  test("an unknown key is asked for at home once, and then refused from memory", async (t) => {
    const platform = await startPlatform(t);
    const { key } = platform.key();
    for (let times = 0; times < 5; times += 1) assertProblem(await platform.upload(key, "film.mp4"), 401, "unknown-api-key");
    assert.equal(platform.home.callsNamed("tenant").length, 1);
  });

  test("a tombstone in KV is honoured after the fresh age, and an older record after it changes nothing", async (t) => {
    const platform = await startPlatform(t, { withFaults: true });
    const made = platform.key({ scopes: ["upload", "read"], version: 7 });
    await platform.replicate(made);
    accepted(await ask(platform, made.key));
    const confirmed = Date.now();
    await platform.replicate({ hash: made.hash, tenant: { ...made.tenant, revoked: true, version: 8 } });
    accepted(await ask(platform, made.key));
    assert.equal((await platform.reads()).length, 1, "within the fresh age nothing is read");

    await pause(confirmed + 10_200 - Date.now());
    accepted(await ask(platform, made.key));
    const refused = await eventually("a refusal", async () => {
      const answer = await ask(platform, made.key);
      return answer.status === 401 && answer;
    });
    assertProblem(refused, 401, "revoked-api-key");
    assert.ok(Date.now() - confirmed < 15_000);
    assert.equal((await platform.reads()).length, 2, "one refresh");

    const seen = Date.now();
    await platform.replicate(made);
    await pause(seen + 10_500 - Date.now());
    assertProblem(await ask(platform, made.key), 401, "revoked-api-key");
    await eventually("another refresh", async () => (await platform.reads()).length === 3);
    await pause(200);
    assertProblem(await ask(platform, made.key), 401, "revoked-api-key");
  });

  test("with KV and the home region down, uploads and playback of a key that nobody holds are answered 503, and the operator is told", async (t) => {
    const platform = await startPlatform(t, { withFaults: true });
    const { key } = platform.knownKey();
    await platform.faults({ kvFails: true });
    platform.home.isDown = true;
    for (const answer of [await platform.upload(key, "film.mp4"), await platform.playback(key, "acme/film.mp4")]) {
      assertProblem(answer, 503, "unavailable");
      assert.match(answer.headers.get("retry-after"), /^[1-9]\d*$/);
    }
    await platform.lineWith("the key-value store could not be asked for the tenant of an API key");
    await platform.lineWith("the home region could not be asked for the tenant of an API key");

    await platform.faults({});
    platform.home.isDown = false;
    const again = await eventually("an answer", async () => {
      const answer = await platform.upload(key, "film.mp4");
      return answer.status === 200 && answer;
    });
    assert.equal(again.status, 200);
  });

  test("a key that the isolate holds goes on while KV and the home region are down", async (t) => {
    const platform = await startPlatform(t, { withFaults: true });
    const made = platform.key();
    await platform.replicate(made);
    assert.equal((await platform.upload(made.key, "film.mp4")).status, 200);
    await platform.faults({ kvFails: true });
    platform.home.isDown = true;
    await pause(10_500);
    for (let times = 0; times < 3; times += 1) assert.equal((await platform.upload(made.key, "film.mp4")).status, 200);
    await platform.lineWith("the home region could not be asked for the tenant of an API key");
    assert.equal((await platform.upload(made.key, "film.mp4")).status, 200);
  });

  test("KV that holds nonsense is made up for by the home region, and the operator is told", async (t) => {
    const platform = await startPlatform(t);
    const made = platform.knownKey();
    const namespace = await platform.miniflare.getKVNamespace("TENANTS", "edge");
    await namespace.put(`k:${made.hash}`, '{"projectId":"acme"');
    assert.equal((await platform.upload(made.key, "film.mp4")).status, 200);
    await platform.lineWith("the key-value store could not be asked for the tenant of an API key");
  });

  test("fifty first requests at once are all answered, and the home region is asked at most as its limits say", async (t) => {
    const platform = await startPlatform(t);
    const { key } = platform.knownKey();
    platform.home.delay = 150;
    const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => platform.upload(key, `film-${index}.mp4`)));
    const granted = answers.filter(({ status }) => status === 200);
    for (const answer of answers) if (answer.status !== 200) assertProblem(answer, 503, "unavailable");
    const asked = platform.home.callsNamed("tenant").length;
    assert.ok(asked >= 1 && asked <= 5, `${asked} calls about one key at once`);
    assert.ok(granted.length >= 1);
    platform.home.delay = 0;
    assert.equal((await platform.upload(key, "after.mp4")).status, 200);
  });

  test("fifty first requests at once of a key in KV are all granted, each its own grant", async (t) => {
    const platform = await startPlatform(t);
    const made = platform.key();
    await platform.replicate(made);
    const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => platform.upload(made.key, `film-${index}.mp4`)));
    for (const answer of answers) assert.equal(answer.status, 200, answer.text);
    answers.forEach(({ json }, index) => assert.equal(json.s3Key, `projects/acme/film-${index}.mp4`));
    assert.equal(new Set(answers.map(({ json }) => json.grantId)).size, 50);
    assert.deepEqual(platform.home.calls, []);
  });

  test("clients that go away while they wait leave nobody else waiting", async (t) => {
    const platform = await startPlatform(t);
    const { key } = platform.knownKey();
    const others = Array.from({ length: 10 }, () => platform.knownKey());
    platform.home.delay = 600;
    const gone = Array.from({ length: 4 }, () => abandoned(platform.url, key, 150));
    await pause(50);
    const staying = others.map((it) => platform.upload(it.key, "film.mp4"));
    await Promise.all(gone);
    for (const answer of await Promise.all(staying)) {
      assert.equal(answer.status, 200, answer.text);
      assert.ok(answer.took < 5_000, `${answer.took} ms, half of what a fetch may take`);
    }
    platform.home.delay = 0;
    const answer = await eventually("an answer to the same key", async () => {
      const it = await platform.upload(key, "film.mp4");
      return it.status === 200 && it;
    });
    assert.ok(answer.took < 5_000, `${answer.took} ms`);
  });

  for (const [how, stall] of Object.entries({ "never answers": "silence", "stops in the middle of its answer": "half" })) {
    test(`a home region that ${how} is given up within a few seconds`, async (t) => {
      const platform = await startPlatform(t);
      platform.home.stalls = stall;
      const answer = await platform.upload(platform.knownKey().key, "film.mp4");
      assertProblem(answer, 503, "unavailable");
      assert.ok(answer.took < 12_000, `${answer.took} ms`);
      platform.home.stalls = undefined;
      assert.equal((await platform.upload(platform.knownKey().key, "film.mp4")).status, 200);
    });
  }

  test("a home region that is slow holds up only those who need it", async (t) => {
    const platform = await startPlatform(t);
    const held = platform.key();
    await platform.replicate(held);
    assert.equal((await platform.upload(held.key, "film.mp4")).status, 200);
    platform.home.delay = 2_500;
    const slow = platform.upload(platform.knownKey().key, "film.mp4");
    await pause(100);
    const answers = await Promise.all(Array.from({ length: 20 }, () => platform.upload(held.key, "film.mp4")));
    for (const answer of answers) {
      assert.equal(answer.status, 200, answer.text);
      assert.ok(answer.took < 2_000, `${answer.took} ms`);
    }
    assert.equal((await slow).status, 200);
  });
});

/** A request whose client goes away after a while. */
function abandoned(url, key, milliseconds) {
  return new Promise((resolve) => {
    const request = http.request(`${url}/upload-url`, { method: "POST", headers: { "x-api-key": key, "content-type": "application/json" } });
    request.on("error", resolve);
    request.on("response", () => resolve(undefined));
    request.end('{"filename":"film.mp4"}');
    setTimeout(() => request.destroy(), milliseconds);
  }).then((error) => assert.ok(error, "the client was to go before its answer"));
}

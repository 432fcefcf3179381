// Lookups of API keys: in the isolate's memory, in KV and in the home region.
import assert from "node:assert/strict";
import http from "node:http";
import { describe, test } from "node:test";
import { mistyped } from "./api-key.mjs";
import { eventually, sleep } from "./listener.mjs";
import { assertProblem, startPlatform } from "./platform.mjs";

/** Sends a request that looks up the API key and is then refused because of its parameter. */
const lookUp = (platform, key) => platform.call("GET", "/videos?limit=0", { key });
/** Asserts that the key was accepted, and the parameter refused. */
const assertAccepted = (response) => assertProblem(response, 400, "invalid-parameter");

describe("API keys", { concurrency: 4 }, () => {
  test("a key that is not in KV is looked up in the home region once, then in memory", async (t) => {
    const platform = await startPlatform(t, { withFaults: true });
    const { key, hash } = platform.newKnownKey();
    for (let times = 0; times < 20; times += 1) assert.equal((await platform.upload(key, `film-${times}.mp4`)).status, 200);
    assert.deepEqual(platform.home.callsNamed("tenant"), [{ call: "tenant", key: hash }]);
    assert.deepEqual(await platform.kvReads(), [`k:${hash}`]);
  });

  test("a key that is in KV is not looked up in the home region", async (t) => {
    const platform = await startPlatform(t, { withFaults: true });
    const apiKey = platform.newKey();
    await platform.replicate(apiKey);
    for (let times = 0; times < 5; times += 1) assert.equal((await platform.upload(apiKey.key, "film.mp4")).status, 200);
    assert.deepEqual(platform.home.calls, []);
    assert.equal((await platform.kvReads()).length, 1);
  });

  test("a mistyped key is refused without a lookup in KV or in the home region", async (t) => {
    const platform = await startPlatform(t, { withFaults: true });
    const { key } = platform.newKnownKey();
    assertProblem(await platform.upload(mistyped(key), "film.mp4"), 401, "mistyped-api-key");
    assertProblem(await platform.upload("sio_live_short", "film.mp4"), 401, "malformed-api-key");
    assertProblem(await platform.upload(undefined, "film.mp4"), 401, "missing-api-key");
    assert.deepEqual(await platform.kvReads(), []);
    assert.deepEqual(platform.home.calls, []);
  });

  test("an unknown key is looked up in the home region once, then refused from memory", async (t) => {
    const platform = await startPlatform(t);
    const { key } = platform.newKey();
    for (let times = 0; times < 5; times += 1) assertProblem(await platform.upload(key, "film.mp4"), 401, "unknown-api-key");
    assert.equal(platform.home.callsNamed("tenant").length, 1);
  });

  test("a revocation in KV takes effect when the cached record is no longer fresh, and an older record does not undo it", async (t) => {
    const platform = await startPlatform(t, { withFaults: true });
    const apiKey = platform.newKey({ scopes: ["upload", "read"], version: 7 });
    await platform.replicate(apiKey);
    assertAccepted(await lookUp(platform, apiKey.key));
    const confirmed = Date.now();
    await platform.replicate({ hash: apiKey.hash, tenant: { ...apiKey.tenant, revoked: true, version: 8 } });
    assertAccepted(await lookUp(platform, apiKey.key));
    assert.equal((await platform.kvReads()).length, 1, "while the cached record is fresh, KV is not read");

    await sleep(confirmed + 10_200 - Date.now());
    assertAccepted(await lookUp(platform, apiKey.key));
    const refused = await eventually("the key is refused", async () => {
      const response = await lookUp(platform, apiKey.key);
      return response.status === 401 && response;
    });
    assertProblem(refused, 401, "revoked-api-key");
    assert.ok(Date.now() - confirmed < 15_000);
    assert.equal((await platform.kvReads()).length, 2, "the record is refreshed once");

    const seen = Date.now();
    await platform.replicate(apiKey);
    await sleep(seen + 10_500 - Date.now());
    assertProblem(await lookUp(platform, apiKey.key), 401, "revoked-api-key");
    await eventually("the record is refreshed again", async () => (await platform.kvReads()).length === 3);
    await sleep(200);
    assertProblem(await lookUp(platform, apiKey.key), 401, "revoked-api-key");
  });

  test("with KV and the home region down, uploads and playback with a key that is not cached get 503, and the failures are logged", async (t) => {
    const platform = await startPlatform(t, { withFaults: true });
    const { key } = platform.newKnownKey();
    await platform.setFaults({ kvFails: true });
    platform.home.isDown = true;
    for (const response of [await platform.upload(key, "film.mp4"), await platform.playback(key, "acme/film.mp4")]) {
      assertProblem(response, 503, "unavailable");
      assert.match(response.headers.get("retry-after"), /^[1-9]\d*$/);
    }
    await platform.findLogLine("the key-value store could not be asked for the tenant of an API key");
    await platform.findLogLine("the home region could not be asked for the tenant of an API key");

    await platform.setFaults({});
    platform.home.isDown = false;
    const again = await eventually("a grant", async () => {
      const response = await platform.upload(key, "film.mp4");
      return response.status === 200 && response;
    });
    assert.equal(again.status, 200);
  });

  test("a cached key is accepted while KV and the home region are down", async (t) => {
    const platform = await startPlatform(t, { withFaults: true });
    const apiKey = platform.newKey();
    await platform.replicate(apiKey);
    assert.equal((await platform.upload(apiKey.key, "film.mp4")).status, 200);
    await platform.setFaults({ kvFails: true });
    platform.home.isDown = true;
    await sleep(10_500);
    for (let times = 0; times < 3; times += 1) assert.equal((await platform.upload(apiKey.key, "film.mp4")).status, 200);
    await platform.findLogLine("the home region could not be asked for the tenant of an API key");
    assert.equal((await platform.upload(apiKey.key, "film.mp4")).status, 200);
  });

  test("a response of the home region of more than 1 MiB is refused", async (t) => {
    const platform = await startPlatform(t);
    const { key } = platform.newKnownKey();
    platform.home.padding = 1024 * 1024;
    assertProblem(await platform.upload(key, "film.mp4"), 503, "unavailable");
    const line = await platform.findLogLine("the home region could not be asked for the tenant of an API key");
    assert.match(JSON.stringify(line.error), /more than 1048577 bytes/);
    platform.home.padding = 1_000;
    assert.equal((await platform.upload(platform.newKnownKey().key, "film.mp4")).status, 200);
  });

  test("for an invalid record in KV the home region is called, and the failure is logged", async (t) => {
    const platform = await startPlatform(t);
    const apiKey = platform.newKnownKey();
    const namespace = await platform.miniflare.getKVNamespace("TENANTS", "edge");
    await namespace.put(`k:${apiKey.hash}`, '{"projectId":"acme"');
    assert.equal((await platform.upload(apiKey.key, "film.mp4")).status, 200);
    await platform.findLogLine("the key-value store could not be asked for the tenant of an API key");
  });

  test("fifty concurrent first requests with one key all get a response, and the calls to the home region are limited", async (t) => {
    const platform = await startPlatform(t);
    const { key } = platform.newKnownKey();
    platform.home.delay = 150;
    const responses = await Promise.all(Array.from({ length: 50 }, (_, index) => platform.upload(key, `film-${index}.mp4`)));
    const granted = responses.filter(({ status }) => status === 200);
    for (const response of responses) if (response.status !== 200) assertProblem(response, 503, "unavailable");
    const calls = platform.home.callsNamed("tenant").length;
    assert.ok(calls >= 1 && calls <= 5, `${calls} concurrent calls about one key`);
    assert.ok(granted.length >= 1);
    platform.home.delay = 0;
    assert.equal((await platform.upload(key, "after.mp4")).status, 200);
  });

  test("fifty concurrent first requests with a key in KV get fifty different grants", async (t) => {
    const platform = await startPlatform(t);
    const apiKey = platform.newKey();
    await platform.replicate(apiKey);
    const responses = await Promise.all(Array.from({ length: 50 }, (_, index) => platform.upload(apiKey.key, `film-${index}.mp4`)));
    for (const response of responses) assert.equal(response.status, 200, response.text);
    responses.forEach(({ json }, index) => assert.equal(json.s3Key, `projects/acme/film-${index}.mp4`));
    assert.equal(new Set(responses.map(({ json }) => json.grantId)).size, 50);
    assert.deepEqual(platform.home.calls, []);
  });

  test("clients that disconnect while they wait do not delay others", async (t) => {
    const platform = await startPlatform(t);
    const { key } = platform.newKnownKey();
    const others = Array.from({ length: 10 }, () => platform.newKnownKey());
    platform.home.delay = 600;
    const disconnected = Array.from({ length: 4 }, () => disconnect(platform.url, key, 150));
    await sleep(50);
    const waiting = others.map((it) => platform.upload(it.key, "film.mp4"));
    await Promise.all(disconnected);
    for (const response of await Promise.all(waiting)) {
      assert.equal(response.status, 200, response.text);
      assert.ok(response.duration < 5_000, `${response.duration} ms, more than half of the timeout of a fetch`);
    }
    platform.home.delay = 0;
    const response = await eventually("a grant for the same key", async () => {
      const it = await platform.upload(key, "film.mp4");
      return it.status === 200 && it;
    });
    assert.ok(response.duration < 5_000, `${response.duration} ms`);
  });

  for (const [how, hang] of Object.entries({ "does not respond": "before-response", "stops within its response": "in-response" })) {
    test(`a call to a home region that ${how} fails within a few seconds`, async (t) => {
      const platform = await startPlatform(t);
      platform.home.hangs = hang;
      const response = await platform.upload(platform.newKnownKey().key, "film.mp4");
      assertProblem(response, 503, "unavailable");
      assert.ok(response.duration < 12_000, `${response.duration} ms`);
      platform.home.hangs = undefined;
      assert.equal((await platform.upload(platform.newKnownKey().key, "film.mp4")).status, 200);
    });
  }

  test("a slow home region delays only the requests that need it", async (t) => {
    const platform = await startPlatform(t);
    const replicated = platform.newKey();
    await platform.replicate(replicated);
    assert.equal((await platform.upload(replicated.key, "film.mp4")).status, 200);
    platform.home.delay = 2_500;
    const slow = platform.upload(platform.newKnownKey().key, "film.mp4");
    await sleep(100);
    const responses = await Promise.all(Array.from({ length: 20 }, () => platform.upload(replicated.key, "film.mp4")));
    for (const response of responses) {
      assert.equal(response.status, 200, response.text);
      assert.ok(response.duration < 2_000, `${response.duration} ms`);
    }
    assert.equal((await slow).status, 200);
  });
});

/** Sends a request for an upload URL and disconnects after some milliseconds. Fails if a response arrives before that. */
function disconnect(url, key, milliseconds) {
  return new Promise((resolve) => {
    const request = http.request(`${url}/upload-url`, { method: "POST", headers: { "x-api-key": key, "content-type": "application/json" } });
    request.on("error", resolve);
    request.on("response", () => resolve(undefined));
    request.end('{"filename":"film.mp4"}');
    setTimeout(() => request.destroy(), milliseconds);
  }).then((error) => assert.ok(error, "the client must disconnect before the response"));
}

// A Worker with invalid settings.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "./listener.mjs";
import { JSON_NULL, assertProblem, startPlatform } from "./platform.mjs";

/** Asserts that the response is an internal error. Only the log names the settings. */
function assertInternalError(response) {
  assert.equal(response.status, 500, response.text);
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  assert.equal(response.json.type, "/problems/internal-error");
  assert.equal(response.json.status, 500);
  assert.match(response.headers.get("x-request-id") ?? "", /^\S+$/, "every response has the request id of its log line");
  assert.equal(response.json.requestId, response.headers.get("x-request-id"));
}

test("with invalid settings every response is 500, and the log has all their names and no values", async (t) => {
  const without = { S3_SECRET_ACCESS_KEY: null, CDN_PRIVATE_KEY: null, JOURNAL: "sometimes" };
  const platform = await startPlatform(t, { changes: without });
  const { key } = platform.newKnownKey();
  for (let times = 1; times <= 2; times += 1) {
    const before = platform.logLines.length;
    const response = await platform.upload(key, "film.mp4");
    assertInternalError(response);
    for (const name of Object.keys(without)) assert.ok(!response.text.includes(name), "the response does not contain the names of settings");
    const line = await platform.findLogLine("settings are invalid");
    for (const name of Object.keys(without)) assert.ok(line.error.some((it) => it.startsWith(name)), `${name}: ${line.error}`);
    assert.equal(line.error.length, Object.keys(without).length, String(line.error));
    assert.ok(!JSON.stringify(line).includes("sometimes"), "the log does not contain values");
    const id = response.headers.get("x-request-id");
    await eventually("each request is logged", () => platform.logLines.slice(before).some((it) => it["request.id"] === id));
  }
  assert.deepEqual(platform.home.calls, []);
});

for (const name of ["TENANTS", "GRANTS", "DEAD_GRANTS"]) {
  test(`without the binding ${name} the response is 500, and the log has its name`, async (t) => {
    const platform = await startPlatform(t, { without: [name] });
    assertInternalError(await platform.upload(platform.newKnownKey().key, "film.mp4"));
    const line = await platform.findLogLine("settings are invalid");
    assert.ok(line.error.some((it) => it.startsWith(name)), String(line.error));
  });
}

test("missing bindings and settings are logged together", async (t) => {
  const platform = await startPlatform(t, { without: ["TENANTS", "GRANTS"], changes: { AWS_REGION: null } });
  assertInternalError(await platform.upload(platform.newKnownKey().key, "film.mp4"));
  const line = await platform.findLogLine("settings are invalid");
  const named = line.error.map((it) => it.split(" ")[0]).sort();
  assert.deepEqual(named, ["AWS_REGION", "GRANTS", "TENANTS"]);
});

for (const [name, pem] of Object.entries({
  "not a key": "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n",
  "not PEM": "hidden-and-no-key-of-any-form",
})) {
  test(`with a CDN_PRIVATE_KEY that is ${name} only playback fails, and the value is not logged`, async (t) => {
    const platform = await startPlatform(t, { changes: { CDN_PRIVATE_KEY: pem } });
    platform.secrets.addPem(pem);
    const { key } = platform.newKnownKey();
    assert.equal((await platform.upload(key, "film.mp4")).status, 200);
    const response = await platform.playback(key, "acme/film.mp4");
    assert.ok(response.status === 500 || response.status === 503, response.text);
    const line = await platform.findLogLine("request failed");
    assert.match(JSON.stringify(line.error), /CDN_PRIVATE_KEY/);
  });
}

test("a variable that is null in a JSON configuration counts as absent, and a queue that is null as missing", async (t) => {
  const platform = await startPlatform(t, { changes: { S3_REGION: JSON_NULL } });
  assert.equal((await platform.upload(platform.newKnownKey().key, "film.mp4")).status, 200);
  const without = await startPlatform(t, { without: ["GRANTS"], changes: { GRANTS: JSON_NULL } });
  assertInternalError(await without.upload(without.newKnownKey().key, "film.mp4"));
  const line = await without.findLogLine("settings are invalid");
  assert.deepEqual(line.error.map((it) => it.split(" ")[0]), ["GRANTS"]);
});

test("without the compatibility flag nodejs_compat playback fails alone, and the log names the flag", async (t) => {
  const platform = await startPlatform(t, { compatibilityFlags: [] });
  const { key } = platform.newKnownKey();
  for (let times = 0; times < 2; times += 1) assertProblem(await platform.playback(key, "acme/film.mp4"), 503, "unavailable");
  assert.equal((await platform.upload(key, "film.mp4")).status, 200);
  const line = await platform.findLogLine("request failed");
  assert.match(JSON.stringify(line.error), /nodejs_compat/);
});

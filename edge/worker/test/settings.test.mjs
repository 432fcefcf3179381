// A Worker that is not set up as it must be.
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "./listener.mjs";
import { startPlatform } from "./platform.mjs";

/** What everybody is told; what is wrong is for the operator. */
function assertNotSetUp(answer) {
  assert.equal(answer.status, 500, answer.text);
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  assert.equal(answer.json.type, "/problems/internal-error");
  assert.equal(answer.json.status, 500);
  assert.match(answer.headers.get("x-request-id") ?? "", /^\S+$/, "every answer has the id under which the log speaks of it");
  assert.equal(answer.json.requestId, answer.headers.get("x-request-id"));
}

test("missing secrets are answered 500, again and again, and the log names every one of them and shows none", async (t) => {
  const without = { S3_SECRET_ACCESS_KEY: null, CDN_PRIVATE_KEY: null, JOURNAL: "sometimes" };
  const platform = await startPlatform(t, { changes: without });
  const { key } = platform.knownKey();
  for (let times = 1; times <= 2; times += 1) {
    const before = platform.lines.length;
    const answer = await platform.upload(key, "film.mp4");
    assertNotSetUp(answer);
    for (const name of Object.keys(without)) assert.ok(!answer.text.includes(name), "settings are for the operator alone");
    const line = await platform.lineWith("settings are invalid");
    for (const name of Object.keys(without)) assert.ok(line.error.some((it) => it.startsWith(name)), `${name}: ${line.error}`);
    assert.equal(line.error.length, Object.keys(without).length, String(line.error));
    assert.ok(!JSON.stringify(line).includes("sometimes"), "values are not repeated");
    const id = answer.headers.get("x-request-id");
    await eventually("each request says so", () => platform.lines.slice(before).some((it) => it["request.id"] === id));
  }
  assert.deepEqual(platform.home.calls, []);
});

for (const name of ["TENANTS", "GRANTS", "DEAD_GRANTS"]) {
  test(`without the binding ${name} nothing is granted, and the log names it`, async (t) => {
    const platform = await startPlatform(t, { without: [name] });
    assertNotSetUp(await platform.upload(platform.knownKey().key, "film.mp4"));
    const line = await platform.lineWith("settings are invalid");
    assert.ok(line.error.some((it) => it.startsWith(name)), String(line.error));
  });
}

test("bindings and settings that are missing are named together", async (t) => {
  const platform = await startPlatform(t, { without: ["TENANTS", "GRANTS"], changes: { AWS_REGION: null } });
  assertNotSetUp(await platform.upload(platform.knownKey().key, "film.mp4"));
  const line = await platform.lineWith("settings are invalid");
  const named = line.error.map((it) => it.split(" ")[0]).sort();
  assert.deepEqual(named, ["AWS_REGION", "GRANTS", "TENANTS"]);
});

for (const [name, pem] of Object.entries({
  "no key at all": "-----BEGIN PRIVATE KEY-----\nbm90IGEga2V5\n-----END PRIVATE KEY-----\n",
  "no PEM": "hidden-and-no-key-of-any-form",
})) {
  test(`a CDN_PRIVATE_KEY that is ${name} fails playback alone, and is not shown`, async (t) => {
    const platform = await startPlatform(t, { changes: { CDN_PRIVATE_KEY: pem } });
    platform.secrets.addPem(pem);
    const { key } = platform.knownKey();
    assert.equal((await platform.upload(key, "film.mp4")).status, 200);
    const answer = await platform.playback(key, "acme/film.mp4");
    assert.ok(answer.status === 500 || answer.status === 503, answer.text);
    const line = await platform.lineWith("request failed");
    assert.match(JSON.stringify(line.error), /CDN_PRIVATE_KEY/);
  });
}

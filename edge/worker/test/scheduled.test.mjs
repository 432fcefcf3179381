// The cron event, which checks the home region, the CDN's key and the settings.
import assert from "node:assert/strict";
import { test } from "node:test";
import { json, listen } from "./listener.mjs";
import { assertProblem, startPlatform } from "./platform.mjs";

const cron = async (platform) => (await platform.miniflare.getWorker("edge")).scheduled({ cron: "*/5 * * * *" });

test("the cron event calls the home region and logs that it responds", async (t) => {
  const platform = await startPlatform(t);
  const { outcome } = await cron(platform);
  assert.equal(outcome, "ok");
  await platform.findLogLine("the home region answers");
  assert.equal(platform.home.callsNamed("tenant").length, 1);
});

test("the cron event logs that the home region does not respond", async (t) => {
  const platform = await startPlatform(t);
  platform.home.isDown = true;
  await cron(platform);
  const line = await platform.findLogLine("the home region does not answer");
  assert.ok(Array.isArray(line.error) && line.error.length > 0);
});

test("redirects of the home region are not followed, because they would forward the signature", async (t) => {
  const platform = await startPlatform(t);
  const redirected = [];
  const other = await listen((request) => {
    redirected.push(request.url);
    return json({ ok: { tenant: null } });
  });
  t.after(() => other.close());
  platform.home.redirectTo = `${other.url}/home`;
  await cron(platform);
  await platform.findLogLine("the home region does not answer");
  assertProblem(await platform.upload(platform.newKnownKey().key, "film.mp4"), 503, "unavailable");
  assert.deepEqual(redirected, []);
});

test("the cron event logs that URLs of the CDN cannot be signed", async (t) => {
  const platform = await startPlatform(t, { changes: { CDN_PRIVATE_KEY: "not-a-private-key-at-all" } });
  platform.secrets.add("not-a-private-key-at-all");
  await cron(platform);
  const line = await platform.findLogLine("URLs of the CDN cannot be signed");
  assert.match(JSON.stringify(line.error), /CDN_PRIVATE_KEY/);
  await platform.findLogLine("the home region answers");
});

test("the cron event logs missing settings", async (t) => {
  const platform = await startPlatform(t, { changes: { HOME_URL: null } });
  await cron(platform);
  const line = await platform.findLogLine("settings are invalid");
  assert.deepEqual(line.error, ["HOME_URL is missing"]);
});

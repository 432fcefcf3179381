// The cron event: are the roads open?
import assert from "node:assert/strict";
import { test } from "node:test";
import { json, listen } from "./listener.mjs";
import { assertProblem, startPlatform } from "./platform.mjs";

const cron = async (platform) => (await platform.miniflare.getWorker("edge")).scheduled({ cron: "*/5 * * * *" });

test("the cron event asks the home region, and tells the log that it answers", async (t) => {
  const platform = await startPlatform(t);
  const { outcome } = await cron(platform);
  assert.equal(outcome, "ok");
  await platform.lineWith("the home region answers");
  assert.equal(platform.home.callsNamed("tenant").length, 1);
});

test("the cron event tells the log that the home region does not answer", async (t) => {
  const platform = await startPlatform(t);
  platform.home.isDown = true;
  await cron(platform);
  const line = await platform.lineWith("the home region does not answer");
  assert.ok(Array.isArray(line.error) && line.error.length > 0);
});

test("a home region that sends its callers elsewhere is not followed, for their signature would go there", async (t) => {
  const platform = await startPlatform(t);
  const elsewhere = [];
  const other = await listen((request) => {
    elsewhere.push(request.url);
    return json({ ok: { tenant: null } });
  });
  t.after(() => other.close());
  platform.home.redirectTo = `${other.url}/home`;
  await cron(platform);
  await platform.lineWith("the home region does not answer");
  assertProblem(await platform.upload(platform.knownKey().key, "film.mp4"), 503, "unavailable");
  assert.deepEqual(elsewhere, []);
});

test("the cron event tells the log that nothing can be signed for the CDN", async (t) => {
  const platform = await startPlatform(t, { changes: { CDN_PRIVATE_KEY: "not-a-private-key-at-all" } });
  platform.secrets.add("not-a-private-key-at-all");
  await cron(platform);
  const line = await platform.lineWith("URLs of the CDN cannot be signed");
  assert.match(JSON.stringify(line.error), /CDN_PRIVATE_KEY/);
  await platform.lineWith("the home region answers");
});

test("the cron event tells the log what is missing of the settings", async (t) => {
  const platform = await startPlatform(t, { changes: { HOME_URL: null } });
  await cron(platform);
  const line = await platform.lineWith("settings are invalid");
  assert.deepEqual(line.error, ["HOME_URL is missing"]);
});

// Statuses of videos, which the edge reads from the home region.
import assert from "node:assert/strict";
import { test } from "node:test";
import { videoId } from "./api-key.mjs";
import { status } from "./home-region.mjs";
import { sleep } from "./listener.mjs";
import { assertProblem, startPlatform } from "./platform.mjs";

test("the status of a video", async (t) => {
  const platform = await startPlatform(t);
  const { home } = platform;
  const { key } = platform.newKnownKey();
  const s3Key = "projects/acme/film.mp4";
  const id = videoId("acme", s3Key);
  home.videos.set(id, status("acme", s3Key, id));
  const show = () => platform.call("GET", `/videos/${id}`, { key });

  await t.test("is read from the home region at most once in two seconds", async () => {
    const response = await show();
    assert.equal(response.status, 200, response.text);
    assert.deepEqual(response.json, home.videos.get(id));
    home.videos.set(id, status("acme", s3Key, id, { state: "processing", progress: 40, version: 6 }));
    const start = Date.now();
    const versions = [];
    while (Date.now() - start < 5_000) {
      versions.push((await show()).json.version);
      await sleep(50);
    }
    const calls = home.callsNamed("video").length;
    assert.ok(calls >= 2 && calls <= 1 + Math.floor((Date.now() - start) / 2_000), `${calls} calls`);
    assert.ok(versions.length > calls, `${versions.length} responses after ${calls} calls`);
    assert.deepEqual(versions, versions.toSorted(), "versions never decrease");
    assert.deepEqual([versions[0], versions.at(-1)], [5, 6]);
  });

  await t.test("is `deleted` immediately after a deletion through the same edge", async () => {
    assert.equal((await show()).json.state, "processing");
    const response = await platform.call("DELETE", `/videos/${id}`, { key });
    assert.equal(response.status, 200, response.text);
    assert.equal(response.json.state, "deleted");
    assert.equal((await show()).json.state, "deleted");
    assert.equal(home.callsNamed("deleteVideo").length, 1);
  });

  await t.test("is read again after a command with an unknown outcome", async () => {
    const before = home.callsNamed("video").length;
    home.isDown = true;
    assertProblem(await platform.call("DELETE", `/videos/${id}`, { key }), 503, "unavailable");
    home.isDown = false;
    assert.equal((await show()).json.state, "deleted");
    assert.equal(home.callsNamed("video").length, before + 1);
  });

  await t.test("of an unknown video is 404, and the 404 is not cached", async () => {
    const later = "projects/acme/later.mp4";
    const laterId = videoId("acme", later);
    assertProblem(await platform.call("GET", `/videos/${laterId}`, { key }), 404, "no-such-video");
    home.videos.set(laterId, status("acme", later, laterId));
    assert.equal((await platform.call("GET", `/videos/${laterId}`, { key })).status, 200);
  });

  await t.test("of another project's video is not returned, even if the home region returns it", async () => {
    const foreign = videoId("globex", "projects/globex/film.mp4");
    home.videos.set(foreign, status("globex", "projects/globex/film.mp4", foreign));
    const response = await platform.call("GET", `/videos/${foreign}`, { key });
    assertProblem(response, 503, "unavailable");
    assert.ok(!response.text.includes("globex"));
  });
});

// What the home region knows of videos, at the edge.
import assert from "node:assert/strict";
import { test } from "node:test";
import { videoId } from "./api-key.mjs";
import { status } from "./home-region.mjs";
import { pause } from "./listener.mjs";
import { assertProblem, startPlatform } from "./platform.mjs";

test("the status of a video", async (t) => {
  const platform = await startPlatform(t);
  const { home } = platform;
  const { key } = platform.knownKey();
  const s3Key = "projects/acme/film.mp4";
  const id = videoId("acme", s3Key);
  home.videos.set(id, status("acme", s3Key, id));
  const show = () => platform.call("GET", `/videos/${id}`, { key });

  await t.test("is read at home once in two seconds", async () => {
    const answer = await show();
    assert.equal(answer.status, 200, answer.text);
    assert.deepEqual(answer.json, home.videos.get(id));
    home.videos.set(id, status("acme", s3Key, id, { state: "processing", progress: 40, version: 6 }));
    const began = Date.now();
    const versions = [];
    while (Date.now() - began < 5_000) {
      versions.push((await show()).json.version);
      await pause(50);
    }
    const asked = home.callsNamed("video").length;
    assert.ok(asked >= 2 && asked <= 1 + Math.floor((Date.now() - began) / 2_000), `asked ${asked} times`);
    assert.ok(versions.length > asked, `${versions.length} answers of ${asked} questions`);
    assert.deepEqual(versions, versions.toSorted(), "a status never goes back");
    assert.deepEqual([versions[0], versions.at(-1)], [5, 6]);
  });

  await t.test("is `deleted` as soon as the video is deleted through the same edge", async () => {
    assert.equal((await show()).json.state, "processing");
    const answer = await platform.call("DELETE", `/videos/${id}`, { key });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.state, "deleted");
    assert.equal((await show()).json.state, "deleted");
    assert.equal(home.callsNamed("deleteVideo").length, 1);
  });

  await t.test("is asked for again after a command whose outcome nobody knows", async () => {
    const before = home.callsNamed("video").length;
    home.isDown = true;
    assertProblem(await platform.call("DELETE", `/videos/${id}`, { key }), 503, "unavailable");
    home.isDown = false;
    assert.equal((await show()).json.state, "deleted");
    assert.equal(home.callsNamed("video").length, before + 1);
  });

  await t.test("of an unknown video is 404, and is not remembered", async () => {
    const later = "projects/acme/later.mp4";
    const laterId = videoId("acme", later);
    assertProblem(await platform.call("GET", `/videos/${laterId}`, { key }), 404, "no-such-video");
    home.videos.set(laterId, status("acme", later, laterId));
    assert.equal((await platform.call("GET", `/videos/${laterId}`, { key })).status, 200);
  });

  await t.test("of another project's video is never shown, whatever the home region says", async () => {
    const foreign = videoId("globex", "projects/globex/film.mp4");
    home.videos.set(foreign, status("globex", "projects/globex/film.mp4", foreign));
    const answer = await platform.call("GET", `/videos/${foreign}`, { key });
    assertProblem(answer, 503, "unavailable");
    assert.ok(!answer.text.includes("globex"));
  });
});

// Playback in a web page of another origin than the API and the CDN: with hls.js, with the browser's own HLS player, as MP4,
// by URL and by cookies.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { startBrowser, withPage } from "./browser.mjs";
import { atTheEndOf } from "./cleanup.mjs";
import { writeClip } from "./clips.mjs";
import { playerOfReadme } from "./documentation.mjs";
import { startPages } from "./pages.mjs";
import { startPlatform } from "./platform.mjs";
import { SPECIAL_NAME } from "./special-name.mjs";

/** The length of the clip in seconds: a multiple of a segment's. Its picture is red in the first half and blue in the second. */
const SECONDS = 12;
const [IN_RED, IN_BLUE] = [2.5, 8.5];
/** Much longer than the whole test and one of its parts take; only a defect makes them run this long. */
const [TIMEOUT_MILLISECONDS, SUBTEST_MILLISECONDS] = [600_000, 180_000];

test("playback in a page", { timeout: TIMEOUT_MILLISECONDS }, async (t) => {
  const atEnd = atTheEndOf(t);
  const pages = await startPages(atEnd);
  const platform = await startPlatform(atEnd, { corsOrigin: pages.origin });
  const browser = await startBrowser(atEnd, platform.directory);
  const { outputs } = await readyVideo(platform);
  assert.ok(outputs.renditions.length >= 2, "there are levels to switch between");
  const stream = await platform.playback(outputs.hlsKey);
  const mp4 = await platform.playback(outputs.mp4Key);
  const heights = outputs.renditions.map(({ height }) => height);
  const inPage = (use) => withPage(browser, pages.origin, use);

  await t.test("hls.js plays the stream, switches levels, seeks and plays to the end", { timeout: SUBTEST_MILLISECONDS }, () =>
    inPage(async (page) => {
      const opened = await call(page, "openWithHlsJs", stream.hlsUrl);
      assertDuration(opened.duration);
      await call(page, "play", 1);
      const switched = await call(page, "switchThroughLevels");
      assert.deepEqual(switched.map(([level]) => level).toSorted(), heights.toSorted(), "hls.js knows every rendition");
      for (const [level, height] of switched) assert.equal(height, level);
      await assertSeeks(page);
      await assertPlaysToTheEnd(page);
    }));

  await t.test("the browser's own player plays the stream and seeks", { timeout: SUBTEST_MILLISECONDS }, () =>
    inPage(async (page) => {
      const support = await page.evaluate(() => document.querySelector("video").canPlayType("application/vnd.apple.mpegurl"));
      assert.notEqual(support, "", "this browser plays HLS");
      const opened = await call(page, "open", stream.hlsUrl);
      assertDuration(opened.duration);
      assert.ok(heights.includes(opened.height), `${opened.height}`);
      await call(page, "play", 1);
      await assertSeeks(page);
      await assertPlaysToTheEnd(page);
    }));

  await t.test("the MP4 plays, and seeking requests ranges", { timeout: SUBTEST_MILLISECONDS }, () =>
    inPage(async (page) => {
      const ranges = [];
      page.on("response", (response) => ranges.push([response.status(), response.headers()["content-range"]]));
      const opened = await call(page, "open", mp4.signedUrl);
      assertDuration(opened.duration);
      assert.equal(opened.height, Math.max(...heights));
      await call(page, "play", 1);
      await assertSeeks(page);
      await assertPlaysToTheEnd(page);
      assert.ok(ranges.some(([status, range]) => status === 206 && range?.startsWith("bytes ")), JSON.stringify(ranges));
    }));

  await t.test("the page of the README plays the stream", { timeout: SUBTEST_MILLISECONDS }, async () => {
    const [html, library] = [playerOfReadme(), "https://esm.sh/hls.js@1"];
    assert.ok(html.includes(library) && html.includes('const url = "…"'), html);
    pages.addPage("/readme.html", html.replace('const url = "…"', `const url = ${JSON.stringify(stream.hlsUrl)}`));
    await withPage(browser, pages.origin, async (page) => {
      await page.route(library, async (route) =>
        route.fulfill({ contentType: "text/javascript", headers: { "access-control-allow-origin": "*" }, body: await readFile(new URL("node_modules/hls.js/dist/hls.mjs", import.meta.url)) }),
      );
      await page.goto(`${pages.origin}/readme.html`);
      await page.evaluate(async () => {
        const video = document.querySelector("video");
        video.muted = true;
        const advanced = new Promise((resolve) => video.addEventListener("timeupdate", () => video.currentTime > 1 && resolve()));
        await video.play();
        await advanced;
      });
    });
  });

  await t.test("the poster is shown", { timeout: SUBTEST_MILLISECONDS }, async () => {
    const poster = await platform.playback(outputs.posterKey);
    await inPage(async (page) => {
      const width = await page.evaluate(async (url) => {
        const image = new Image();
        image.src = url;
        await image.decode();
        return image.naturalWidth;
      }, poster.signedUrl);
      assert.ok(width > 0);
    });
  });

  await t.test("cookies for the CDN, set by a page of another origin, give access to the stream", { timeout: SUBTEST_MILLISECONDS }, async () => {
    const path = new URL(stream.signedUrl).pathname.replace(/^\/play\//, "/");
    const url = platform.cdn + path;
    assert.equal((await fetch(url)).status, 403, "the stream is not public");
    const setCookies = (page) =>
      page.evaluate((cookies) => {
        for (const [name, value] of Object.entries(cookies)) document.cookie = `${name}=${value}; path=/processed; SameSite=Lax`;
      }, stream.cookies);
    await inPage(async (page) => {
      await setCookies(page);
      const opened = await page.evaluate(async (address) => {
        const { openWithHlsJs } = await import("/player.js");
        return openWithHlsJs(address, { xhrSetup: (xhr) => { xhr.withCredentials = true; } });
      }, url);
      assertDuration(opened.duration);
      await assertSeeks(page);
    });
    await inPage(async (page) => {
      await setCookies(page);
      const opened = await call(page, "open", url, "use-credentials");
      assertDuration(opened.duration);
      await assertSeeks(page);
    });
  });
});

/** Uploads the clip under a name with special characters and returns its status view when it is ready. */
async function readyVideo(platform) {
  const file = join(platform.directory, "clip.mp4");
  await writeClip(file, { seconds: SECONDS, size: "640x360" });
  const grant = await platform.call("POST", "/upload-url", { filename: SPECIAL_NAME, path: `folder/${SPECIAL_NAME}` });
  const response = await fetch(grant.uploadUrl, { method: "PUT", body: await readFile(file) });
  assert.equal(response.status, 200, await response.text());
  return platform.ready(grant.videoId);
}

/** Calls a function of player.js in the page. */
function call(page, name, ...parameters) {
  return page.evaluate(async ([name, parameters]) => (await import("/player.js"))[name](...parameters), [name, parameters]);
}

function assertDuration(seconds) {
  assert.ok(Math.abs(seconds - SECONDS) < 0.2, `the duration is ${seconds} s`);
}

/** Seeks forwards, backwards and forwards again, and checks the picture each time. */
async function assertSeeks(page) {
  for (const [seconds, name] of [[IN_BLUE, "blue"], [IN_RED, "red"], [IN_BLUE, "blue"]]) {
    const [red, , blue] = await call(page, "seek", seconds);
    const expected = name === "red" ? red > 150 && blue < 100 : blue > 150 && red < 100;
    assert.ok(expected, `the picture at ${seconds} s is ${name}: red ${red}, blue ${blue}`);
  }
}

async function assertPlaysToTheEnd(page) {
  await call(page, "seek", SECONDS - 1);
  assertDuration(await call(page, "playToTheEnd"));
}

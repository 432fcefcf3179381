// Uploads from a web page to the object store of another origin, by the code of docs/uploading.md.
import assert from "node:assert/strict";
import { copyFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { startBrowser, withPage } from "./browser.mjs";
import { atTheEndOf } from "./cleanup.mjs";
import { pad, writeClip } from "./clips.mjs";
import { startPages } from "./pages.mjs";
import { startPlatform } from "./platform.mjs";
import { SPECIAL_NAME } from "./special-name.mjs";

/** More than one part of 16 MiB. */
const PADDING_BYTES = 18 * 1024 * 1024;
/** The name of several files, as cameras give it. */
const SAME_NAME = "IMG_0001.mp4";
/** Much longer than the test takes; only a defect makes it run this long. */
const TIMEOUT_MILLISECONDS = 600_000;

test("uploads from a page", { timeout: TIMEOUT_MILLISECONDS }, async (t) => {
  const atEnd = atTheEndOf(t);
  const pages = await startPages(atEnd);
  const platform = await startPlatform(atEnd, { corsOrigin: pages.origin });
  pages.connect(platform);
  const browser = await startBrowser(atEnd, platform.directory);
  const file = (name) => join(platform.directory, name);
  await writeClip(file("small.mp4"), { seconds: 2, size: "320x180" });
  await copyFile(file("small.mp4"), file("large.mp4"));
  await pad(file("large.mp4"), PADDING_BYTES);

  const uploaded = [];
  /** Chooses a copy of the file with the name `name` in a page, and calls `upload` in the page, which returns the video's id. */
  const uploads = (title, source, name, upload) =>
    t.test(title, async () => {
      await copyFile(file(source), file(name));
      await withPage(browser, pages.origin, async (page) => {
        await page.setInputFiles("input", file(name));
        const videoId = await page.evaluate(upload);
        uploaded.push([videoId, name]);
      });
    });

  await uploads("fetch uploads a file with a special name", "small.mp4", SPECIAL_NAME, async () => {
    const { upload } = await import("/fetch.js");
    return upload(document.querySelector("input").files[0]);
  });

  await uploads("fetch uploads a file in parts", "large.mp4", SAME_NAME, async () => {
    const { uploadInParts } = await import("/fetch.js");
    return uploadInParts(document.querySelector("input").files[0]);
  });

  await uploads("XMLHttpRequest uploads a file and reports its progress", "large.mp4", SAME_NAME, async () => {
    const { upload } = await import("/xhr.js");
    const progress = [];
    const videoId = await upload(document.querySelector("input").files[0], (part) => progress.push(part));
    if (progress.at(-1) !== 1 || progress.some((part, index) => part < (progress[index - 1] ?? 0))) throw new Error(`progress: ${progress}`);
    return videoId;
  });

  for (const [title, source, name, multipart] of [
    ["Uppy uploads a file", "small.mp4", `Uppy ${SPECIAL_NAME}`, false],
    ["Uppy uploads a file in parts", "large.mp4", SAME_NAME, true],
  ]) {
    await uploads(title, source, name, multipart ? uploadWithUppyInParts : uploadWithUppy);
  }

  await t.test("every uploaded file becomes a video of its own, with its name and all its bytes", async () => {
    assert.equal(new Set(uploaded.map(([videoId]) => videoId)).size, 5);
    for (const [videoId, name] of uploaded) {
      const status = await platform.ready(videoId);
      assert.match(status.s3Key, /^projects\/acme\/[a-z2-7]{16}\//);
      assert.equal(status.s3Key.split("/").slice(3).join("/"), name);
      assert.equal(status.source.bytes, (await stat(file(name))).size, name);
    }
  });
});

async function uploadWithUppy() {
  const { newUppy } = await import("/uppy.js");
  const uppy = newUppy();
  const [data] = document.querySelector("input").files;
  uppy.addFile({ name: data.name, type: data.type, data });
  const { successful, failed } = await uppy.upload();
  if (failed.length > 0) throw new Error(failed[0].error);
  return successful[0].grant.videoId;
}

async function uploadWithUppyInParts() {
  const { newUppy } = await import("/uppy.js");
  const uppy = newUppy({ multipart: () => true });
  const parts = [];
  uppy.on("s3-multipart:part-uploaded", (_, { PartNumber }) => parts.push(PartNumber));
  const [data] = document.querySelector("input").files;
  uppy.addFile({ name: data.name, type: data.type, data });
  const { successful, failed } = await uppy.upload();
  if (failed.length > 0) throw new Error(failed[0].error);
  if (parts.join() !== "1,2") throw new Error(`parts: ${parts}`);
  return successful[0].grant.videoId;
}

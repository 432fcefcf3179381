// Grants of the API, verified as the object store and the CDN do.
import assert from "node:assert/strict";
import { createVerify } from "node:crypto";
import { test } from "node:test";
import { videoId } from "./api-key.mjs";
import { eventually } from "./listener.mjs";
import { CDN, KEY_PAIR_ID, startPlatform } from "./platform.mjs";

test("grants are valid", async (t) => {
  const platform = await startPlatform(t);
  const { key } = platform.newKnownKey();

  await t.test("the object store accepts an upload URL with the signed headers only", async () => {
    const body = { filename: "Über den Wolken (1)+.mp4", path: "films/", contentType: "video/mp4" };
    const { status, json, text } = await platform.call("POST", "/upload-url", { key, body });
    assert.equal(status, 200, text);
    assert.equal(json.videoId, videoId("acme", json.s3Key));
    const put = await fetch(json.uploadUrl, { method: json.method, headers: json.headers, body: "a film" });
    assert.equal(put.status, 200, await put.text());
    assert.equal(platform.store.objects.get(`/raw/${json.s3Key}`).toString(), "a film");
    const other = await fetch(json.uploadUrl, { method: "PUT", headers: { "content-type": "video/webm" }, body: "a film" });
    assert.equal(other.status, 403);
    platform.store.refusals.length = 0;
  });

  await t.test("names in another normalization form get the key in NFC", async () => {
    const { status, json, text } = await platform.call("POST", "/upload-url", { key, body: { filename: "Cafe\u0301.mp4", path: "O\u0308l" } });
    assert.equal(status, 200, text);
    assert.equal(json.s3Key, "projects/acme/\u00d6l/Caf\u00e9.mp4");
    const put = await fetch(json.uploadUrl, { method: json.method, headers: json.headers, body: "a film" });
    assert.equal(put.status, 200, await put.text());
  });

  await t.test("a multipart upload is created with a signed request, and its parts are accepted with their exact size only", async () => {
    const body = { filename: "long.mp4", multipart: true, size: 16 * 1024 * 1024 + 6 };
    const { status, json, text } = await platform.call("POST", "/upload-url", { key, body });
    assert.equal(status, 200, text);
    assert.deepEqual(platform.store.multipartUploads, ["/raw/projects/acme/long.mp4"]);
    assert.deepEqual(json.multipart.parts.map(({ size }) => size), [16 * 1024 * 1024, 6]);
    const put = await fetch(json.multipart.parts[1].url, { method: "PUT", body: "a part" });
    assert.equal(put.status, 200, await put.text());
    const longer = await fetch(json.multipart.parts[1].url, { method: "PUT", body: "longer" + "." });
    assert.equal(longer.status, 403);
    platform.store.refusals.length = 0;
  });

  await t.test("a playback URL is signed with the key pair's private key", async () => {
    const { status, json, text } = await platform.playback(key, "acme/films/clip.mp4");
    assert.equal(status, 200, text);
    const url = new URL(json.signedUrl);
    assert.equal(`${url.origin}${url.pathname}`, `${CDN}/processed/acme/films/clip.mp4`);
    assert.equal(url.searchParams.get("Key-Pair-Id"), KEY_PAIR_ID);
    assert.equal(url.searchParams.get("Hash-Algorithm"), "SHA256");
    const expires = Number(url.searchParams.get("Expires"));
    assert.equal(expires * 1000, Date.parse(json.expiresAt));
    const policy = JSON.stringify({ Statement: [{ Resource: `${url.origin}${url.pathname}`, Condition: { DateLessThan: { "AWS:EpochTime": expires } } }] });
    const signature = Buffer.from(url.searchParams.get("Signature").replaceAll("-", "+").replaceAll("_", "=").replaceAll("~", "/"), "base64");
    assert.ok(createVerify("sha256").update(policy).verify(platform.publicKey, signature));
    assert.ok(!createVerify("sha256").update(`${policy} `).verify(platform.publicKey, signature));
  });

  await t.test("each of these grants is sent to the stream", async () => {
    await eventually("four records are in the stream", () => platform.kinesis.records.length === 4);
    const types = platform.kinesis.records.map(({ fact }) => fact.events[0].type).sort();
    assert.deepEqual(types, ["playback.granted", "upload.granted", "upload.granted", "upload.granted"]);
  });
});

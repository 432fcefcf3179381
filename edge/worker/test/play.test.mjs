// Playlists at `/play/…` as players get them, from a CDN that checks signatures.
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { startCdn } from "./cdn.mjs";
import { assertProblem, startPlatform } from "./platform.mjs";

const FOLDER = "/processed/acme/clip.mp4.hls";
const MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\ng1-a1/720p.m3u8\n";

/** A media playlist of two hours in segments of four seconds. */
function twoHours() {
  const segments = Array.from({ length: 1800 }, (_, index) => `#EXTINF:4.000000,\n${String(index).padStart(5, "0")}.m4s\n`);
  return `#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI="init.mp4"\n${segments.join("")}#EXT-X-ENDLIST\n`;
}

/** The URIs of a playlist, resolved as a browser does. */
const uris = (text, base) => text.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) => new URL(line, base).href);

test("playlists", async (t) => {
  const cdn = await startCdn();
  t.after(cdn.close);
  cdn.files.set(`${FOLDER}/master.m3u8`, MASTER);
  cdn.files.set(`${FOLDER}/g1-a1/720p.m3u8`, twoHours());
  cdn.files.set(`${FOLDER}/g1-a1/00000.m4s`, "one segment");
  const platform = await startPlatform(t, { changes: { CDN_BASE_URL: cdn.url } });
  cdn.publicKey = platform.publicKey;
  const { key } = platform.newKnownKey();
  const grant = async (body = {}) => (await platform.playback(key, "acme/clip.mp4", { body: { format: "hls", ...body } })).json;
  const view = (url, options = {}) => platform.call(options.method ?? "GET", url.slice(platform.url.length), options);

  await t.test("a player that only follows URIs gets from `hlsUrl` to a segment", async () => {
    const { hlsUrl, policyQuery } = await grant();
    assert.ok(hlsUrl.startsWith(`${platform.url}/play${FOLDER}/master.m3u8?`), "the address of the request");
    const master = await view(hlsUrl);
    assert.equal(master.status, 200, master.text);
    assert.equal(master.headers.get("content-type"), "application/vnd.apple.mpegurl");
    assert.equal(master.headers.get("cache-control"), "private, max-age=5");
    const [variant] = uris(master.text, hlsUrl);
    assert.equal(variant, `${platform.url}/play${FOLDER}/g1-a1/720p.m3u8?${policyQuery}`);
    const media = await view(variant);
    const segments = uris(media.text, variant);
    assert.equal(segments.length, 1800);
    assert.ok(segments.every((uri) => uri.startsWith(`${cdn.url}${FOLDER}/g1-a1/`) && uri.endsWith(`.m4s?${policyQuery}`)));
    assert.ok(media.text.includes(`#EXT-X-MAP:URI="${cdn.url}${FOLDER}/g1-a1/init.mp4?${policyQuery}"\n`));
    assert.equal(media.text.replaceAll(`?${policyQuery}`, "").replaceAll(`${cdn.url}${FOLDER}/g1-a1/`, ""), twoHours());
    assert.equal(await (await fetch(segments[0])).text(), "one segment");
  });

  await t.test("a playlist that the player has is not sent again, but the CDN is asked again", async () => {
    const { hlsUrl } = await grant();
    const first = await view(hlsUrl);
    const etag = first.headers.get("etag");
    assert.match(etag, /^"[0-9a-f]{32}"$/);
    const before = cdn.requests.length;
    const again = await view(hlsUrl, { headers: { "if-none-match": etag } });
    assert.deepEqual([again.status, again.text, again.headers.get("etag"), cdn.requests.length], [304, "", etag, before + 1]);
    cdn.headers = { etag: '"another-version"' };
    assert.equal((await view(hlsUrl, { headers: { "if-none-match": etag } })).status, 200);
    cdn.headers = {};
  });

  await t.test("HEAD has the length of GET", async () => {
    const { hlsUrl } = await grant();
    const headers = { "accept-encoding": "identity" };
    const [get, head] = [await view(hlsUrl, { headers }), await view(hlsUrl, { method: "HEAD", headers })];
    assert.deepEqual([head.status, head.text, head.headers.get("etag")], [200, "", get.headers.get("etag")]);
    assert.equal(head.headers.get("content-length"), String(Buffer.byteLength(get.text)));
  });

  await t.test("a limit to a network is kept for media files only", async () => {
    const { hlsUrl } = await grant({ ip: "203.0.113.0/24" });
    const [variant] = uris((await view(hlsUrl)).text, hlsUrl);
    const [segment] = uris((await view(variant)).text, variant);
    assert.equal((await fetch(segment)).status, 403);
    // The signature without the limit opens the master playlist and nothing else, whatever is added to the URL.
    const unlimited = hlsUrl.split("?")[1].split("&Media-Ip=")[0];
    const [file] = segment.split("?");
    assert.equal((await fetch(`${cdn.url}${FOLDER}/master.m3u8?${unlimited}`)).status, 200);
    for (const added of ["", "?x=.m3u8&", "?.m3u8&", "?x=/master.m3u8&"]) {
      assert.equal((await fetch(`${file}${added || "?"}${unlimited}`)).status, 403, added);
      assert.equal((await fetch(`${file}?${unlimited}&${added.slice(1, -1)}`)).status, 403, added);
    }
  });

  await t.test("refusals of the CDN are passed on with their reason", async () => {
    const { hlsUrl } = await grant();
    const changed = (from, to) => view(hlsUrl.replace(from, to));
    for (const [response, field, reason] of [
      [await changed("clip.mp4.hls", "other.mp4.hls"), "Policy", /other files/],
      [await changed(/Signature=M/, "Signature=N"), "Signature", /does not belong/],
      [await changed(/\?.*/, ""), "Policy", /is missing/],
    ]) {
      assertProblem(response, 403, "playback-refused");
      assert.equal(response.json.field, field);
      assert.match(response.json.detail, reason);
    }
    assertProblem(await changed("master.m3u8", "none.m3u8"), 404, "no-such-playlist");
    assertProblem(await changed("master.m3u8", "g1-a1/00000.m4s"), 400, "invalid-parameter");
  });

  await t.test("redirects are not followed, and what is no playlist is not passed on", async () => {
    const { hlsUrl } = await grant();
    const before = cdn.requests.length;
    for (const next of [
      { status: 302, headers: { location: `${cdn.url}/elsewhere` } },
      { body: "<html>" },
      { body: `#EXTM3U\n#${"x".repeat(1024 * 1024)}\n` },
    ]) {
      cdn.next = next;
      assertProblem(await view(hlsUrl), 502, "invalid-playlist");
    }
    assert.equal(cdn.requests.length, before + 3);
    for (const next of [{ status: 503 }, { status: 429 }]) {
      cdn.next = next;
      const response = await view(hlsUrl);
      assertProblem(response, 503, "unavailable");
      assert.equal(response.headers.get("retry-after"), "1");
    }
  });

  await t.test("a playlist that the CDN has compressed is read", async () => {
    const { hlsUrl } = await grant();
    cdn.next = { headers: { "content-encoding": "gzip" }, body: gzipSync(MASTER) };
    assert.equal((await view(hlsUrl)).status, 200);
  });

  await t.test("viewers who ask at the same time get the text with their own signature", async () => {
    const grants = await Promise.all(Array.from({ length: 8 }, (_, index) => grant({ ttl: 600 + index })));
    const texts = await Promise.all(grants.map(({ hlsUrl }) => view(hlsUrl.replace("master.m3u8", "g1-a1/720p.m3u8"))));
    for (const [index, { text }] of texts.entries()) {
      const signed = uris(text, cdn.url);
      assert.equal(signed.length, 1800);
      assert.ok(signed.every((uri) => uri.endsWith(`.m4s?${grants[index].policyQuery}`)));
    }
  });

  await t.test("pages of every origin may read playlists", async () => {
    const { hlsUrl } = await grant();
    const { headers } = await view(hlsUrl, { headers: { origin: "https://app.example" } });
    assert.equal(headers.get("access-control-allow-origin"), "*");
    assert.equal(headers.get("access-control-allow-credentials"), null);
  });

  assert.deepEqual(cdn.errors, []);
});

test("with listed origins, their players may send credentials, and `PUBLIC_URL` is the address in `hlsUrl`", async (t) => {
  const changes = { ALLOWED_ORIGINS: "https://a.example", PUBLIC_URL: "https://api.example/" };
  const platform = await startPlatform(t, { changes });
  const { key } = platform.newKnownKey();
  const { json } = await platform.playback(key, "acme/clip.mp4", { body: { format: "hls" } });
  assert.ok(json.hlsUrl.startsWith(`https://api.example/play${FOLDER}/master.m3u8?`));
  for (const [origin, allowed, credentials] of [
    ["https://a.example", "https://a.example", "true"],
    ["https://b.example", "*", null],
  ]) {
    const { headers } = await platform.call("GET", `/play${FOLDER}/master.m3u8`, { headers: { origin } });
    assert.equal(headers.get("access-control-allow-origin"), allowed);
    assert.equal(headers.get("access-control-allow-credentials"), credentials);
    assert.equal(headers.get("vary"), "origin");
  }
});

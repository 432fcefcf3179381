// `GET /play/…` with the npm package m3u8-parser: parses the playlist and writes it again with the query on every URI. Only what
// playlists of the FFmpeg worker contain is written.
import { createHash } from "node:crypto";
import { Parser } from "m3u8-parser";
import { HttpError } from "./input.mjs";
import { checkKey } from "./object-key.mjs";

const NAMES = ["Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"];

export async function playlist(url, env) {
  const key = decodeURIComponent(url.pathname.slice("/play/".length));
  if (!key.startsWith("processed/") || !key.endsWith(".m3u8")) throw new HttpError(400, "key is not a playlist");
  checkKey(key);
  const pairs = NAMES.map((name) => [name, url.searchParams.get(name)]).filter(([, value]) => value !== null);
  if (!pairs.every(([, value]) => /^[0-9A-Za-z~_-]+$/.test(value))) throw new HttpError(403, "the signature is malformed");
  const query = pairs.map(([name, value]) => `${name}=${value}`).join("&");
  const source = `${env.CDN_BASE_URL}/${key.split("/").map(encodeURIComponent).join("/")}`;
  const answer = await fetch(`${source}?${query}`, { redirect: "manual" });
  if (answer.status !== 200) throw new HttpError(answer.status, "the CDN refused the request");
  const text = rewrite(await answer.text(), source, `${url.origin}/play`, env.CDN_BASE_URL, query);
  const etag = createHash("sha256").update(`${answer.headers.get("etag")}${source}${query}`).digest("hex").slice(0, 32);
  return { text, headers: { "content-type": "application/vnd.apple.mpegurl", "cache-control": "private, max-age=5", etag: `"${etag}"` } };
}

/** Returns the playlist at `source` with the query on every URI; playlists lead to `play` instead of `cdn`. */
export function rewrite(text, source, play, cdn, query) {
  const parser = new Parser();
  parser.push(text);
  parser.end();
  const { manifest } = parser;
  const signed = (uri) => {
    const target = new URL(uri, source);
    if (!target.href.startsWith(`${cdn}/`)) return target.href;
    const start = target.pathname.endsWith(".m3u8") ? target.href.replace(cdn, play) : target.href;
    return `${start}${target.search === "" ? "?" : "&"}${query}`;
  };
  const lines = ["#EXTM3U"];
  if (manifest.version !== undefined) lines.push(`#EXT-X-VERSION:${manifest.version}`);
  for (const { uri, attributes } of manifest.playlists ?? []) {
    const list = Object.entries(attributes).map(([name, value]) => `${name}=${value}`);
    lines.push(`#EXT-X-STREAM-INF:${list.join(",")}`, signed(uri));
  }
  if (manifest.targetDuration !== undefined) lines.push(`#EXT-X-TARGETDURATION:${manifest.targetDuration}`);
  if (manifest.mediaSequence !== undefined) lines.push(`#EXT-X-MEDIA-SEQUENCE:${manifest.mediaSequence}`);
  if (manifest.playlistType !== undefined) lines.push(`#EXT-X-PLAYLIST-TYPE:${manifest.playlistType}`);
  if (manifest.independentSegments) lines.push("#EXT-X-INDEPENDENT-SEGMENTS");
  let map;
  for (const segment of manifest.segments) {
    if (segment.map?.uri !== map) {
      map = segment.map.uri;
      lines.push(`#EXT-X-MAP:URI="${signed(map)}"`);
    }
    lines.push(`#EXTINF:${segment.duration.toFixed(6)},${segment.title ?? ""}`, signed(segment.uri));
  }
  if (manifest.endList) lines.push("#EXT-X-ENDLIST");
  return `${lines.join("\n")}\n`;
}

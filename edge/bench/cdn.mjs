// The CDN of the bench, in memory: every request gets the same playlist, so that the network costs both sides nothing.

/** A media playlist of two hours in segments of four seconds, as the FFmpeg worker writes it. */
const SEGMENTS = Array.from({ length: 1800 }, (_, index) => `#EXTINF:4.000000,\n${String(index).padStart(5, "0")}.m4s\n`);
export const PLAYLIST = `#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI="init.mp4"\n${SEGMENTS.join("")}#EXT-X-ENDLIST\n`;
const BYTES = new TextEncoder().encode(PLAYLIST);
const HEADERS = { "content-type": "application/vnd.apple.mpegurl", "content-length": String(BYTES.length), etag: '"9b2cf535f27731c974343645a3985328"' };

/** Makes `fetch` return the playlist for every URL of the CDN. */
export function serveFromMemory() {
  globalThis.fetch = async (request) => {
    const url = typeof request === "string" ? request : request.url;
    if (!url.includes("/processed/")) throw new TypeError("the bench has no network");
    return new Response(BYTES, { headers: HEADERS });
  };
}

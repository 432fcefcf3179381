// The floor: a Worker with the input and output of the edge and no other work. It reads the same headers and the body, sends a
// constant message to the queue and returns a constant response. For a playback URL the runtime also signs a constant message,
// because the edge cannot avoid that; for a playlist it fetches one from the CDN in place of sending a message. The difference
// between the edge and the floor is the cost of the edge's code.
import { createPrivateKey, sign } from "node:crypto";
import { withBindings } from "./bindings.mjs";

const REQUEST_HEADERS = ["x-api-key", "authorization", "content-type", "idempotency-key", "x-request-id", "origin", "access-control-request-method", "if-none-match"];
const RESPONSE_HEADERS = {
  "content-type": "application/json",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "x-request-id": "req_aaaaaaaaaaaaaaaaaaaaaaaaaa",
  "ratelimit-policy": '"default";q=4000000000;w=1',
  ratelimit: '"default";r=3999999999;t=1',
};
/** These have the lengths of the edge's messages for the calls of the bench, and of the policy that it signs. */
const UPLOAD_MESSAGE = "m".repeat(480);
const PLAYBACK_MESSAGE = "m".repeat(435);
const POLICY = Buffer.from("p".repeat(165));

const CDN_URL = "https://d111111abcdef8.cloudfront.net/processed/acme/films/clip-00000001.mp4.hls/g1-a1/720p/video.m3u8";

let key;
let body;

const worker = {
  async fetch(request, env) {
    let read = 0;
    for (const name of REQUEST_HEADERS) read += request.headers.get(name)?.length ?? 0;
    read += (await request.arrayBuffer()).byteLength;
    if (env.FLOOR_WORK === "fetch") {
      read += (await (await fetch(CDN_URL)).arrayBuffer()).byteLength;
      if (read === 0) throw new Error("nothing was read");
      // Bytes, because a text would be encoded for each request.
      body ??= new TextEncoder().encode(env.FLOOR_BODY);
      return new Response(body, { headers: RESPONSE_HEADERS });
    }
    const signs = env.FLOOR_WORK === "signed-grant";
    if (signs) {
      key ??= createPrivateKey(env.CDN_PRIVATE_KEY);
      read += sign("sha256", POLICY, key).length;
    }
    if (read === 0) throw new Error("nothing was read");
    await env.GRANTS.send(signs ? PLAYBACK_MESSAGE : UPLOAD_MESSAGE, { contentType: "text" });
    return new Response(env.FLOOR_BODY, { headers: RESPONSE_HEADERS });
  },
};

export default withBindings(worker);

// A fake home region (events/src/home.rs). It responds to `POST /home` with the data of the test, and refuses requests that are not
// signed as a Lambda function URL requires.
import { json, listen, sleep } from "./listener.mjs";
import { signatureError } from "./sigv4.mjs";

export async function startHomeRegion(keys) {
  const home = {
    /** Tenants by the hash of their key. */
    tenants: new Map(),
    /** Statuses of videos by video id. */
    videos: new Map(),
    /** All accepted calls in order, including those without a response yet. */
    calls: [],
    /** The reasons for which calls were refused. */
    refusals: [],
    /** The signatures of all requests. */
    signatures: [],
    /** Whether connections are closed without a response. */
    isDown: false,
    /** A promise that each response waits for. */
    gate: undefined,
    /** The delay of each response, in milliseconds. */
    delay: 0,
    /** Where responses stop: `before-response` or `in-response` (listener.mjs). */
    hangs: undefined,
    /** The bytes of spaces after each response. */
    padding: 0,
    /** The URL to which callers are redirected. */
    redirectTo: undefined,
    callsNamed: (name) => home.calls.filter((it) => it.call === name),
  };
  const listener = await listen(async (request) => {
    home.signatures.push(/Signature=([0-9a-f]+)/.exec(request.headers.authorization)?.[1]);
    if (request.method !== "POST" || request.url !== "/home") return json({ error: { kind: "refused", text: "no such call" } }, 404);
    const reason = signatureError(request, { ...keys, service: "lambda" });
    if (reason !== undefined) {
      home.refusals.push(reason);
      return json({ error: { kind: "refused", text: reason } }, 403);
    }
    const call = JSON.parse(request.body);
    home.calls.push(call);
    await home.gate;
    if (home.delay > 0) await sleep(home.delay);
    if (home.hangs !== undefined) return { hangs: home.hangs };
    if (home.redirectTo !== undefined) return { status: 307, headers: { location: home.redirectTo } };
    if (home.isDown) return undefined;
    const response = respond(home, call);
    return { ...response, body: response.body + " ".repeat(home.padding) };
  });
  return Object.assign(home, { url: listener.url, errors: listener.errors, close: listener.close });
}

function respond(home, call) {
  switch (call.call) {
    case "tenant":
      return json({ ok: { tenant: home.tenants.get(call.key) ?? null } });
    case "video":
      return json({ ok: { video: home.videos.get(call.videoId) ?? null } });
    case "deleteVideo": {
      const before = home.videos.get(call.videoId);
      if (before === undefined) return json({ error: { kind: "notFound" } });
      const after = { ...before, state: "deleted", version: before.version + 1, updatedAt: new Date().toISOString() };
      home.videos.set(call.videoId, after);
      return json({ ok: { command: after } });
    }
    default:
      return json({ error: { kind: "refused", text: `this home region does not know ${call.call}` } }, 400);
  }
}

/** Returns the status of a video as the home region sends it. */
export function status(projectId, s3Key, videoId, changes = {}) {
  const at = new Date().toISOString();
  return { videoId, projectId, s3Key, state: "ready", progress: 100, generation: 1, attempt: 1, createdAt: at, updatedAt: at, version: 5, ...changes };
}

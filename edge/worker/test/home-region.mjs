// A home region that answers `POST /home` from what a test puts into it (events/src/home.rs), and refuses what is not
// signed as a function URL of Lambda wants it.
import { json, listen, pause } from "./listener.mjs";
import { refusal } from "./sigv4.mjs";

export async function startHomeRegion(keys) {
  const home = {
    /** Tenants by the hash of their key; a key that is not there was never made. */
    tenants: new Map(),
    /** Statuses by video id. */
    videos: new Map(),
    /** All calls that were answered or are being answered, in order. */
    calls: [],
    /** Calls that were not signed as they must be, and why. */
    refusals: [],
    /** Every signature that was seen. */
    signatures: [],
    /** No call gets an answer. */
    isDown: false,
    /** Milliseconds before each answer. */
    delay: 0,
    /** `silence`: no answer ever comes. `half`: none comes to its end. */
    stalls: undefined,
    /** Where callers are sent instead of being answered. */
    redirectTo: undefined,
    callsNamed: (name) => home.calls.filter((it) => it.call === name),
  };
  const listener = await listen(async (request) => {
    home.signatures.push(/Signature=([0-9a-f]+)/.exec(request.headers.authorization)?.[1]);
    if (request.method !== "POST" || request.url !== "/home") return json({ error: { kind: "refused", text: "no such call" } }, 404);
    const reason = refusal(request, { ...keys, service: "lambda" });
    if (reason !== undefined) {
      home.refusals.push(reason);
      return json({ error: { kind: "refused", text: reason } }, 403);
    }
    const call = JSON.parse(request.body);
    home.calls.push(call);
    if (home.delay > 0) await pause(home.delay);
    if (home.stalls !== undefined) return { stalls: home.stalls };
    if (home.redirectTo !== undefined) return { status: 307, headers: { location: home.redirectTo } };
    return home.isDown ? undefined : answer(home, call);
  });
  return Object.assign(home, { url: listener.url, faults: listener.faults, close: listener.close });
}

function answer(home, call) {
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

/** A status as the home region gives it. */
export function status(projectId, s3Key, videoId, changes = {}) {
  const at = new Date().toISOString();
  return { videoId, projectId, s3Key, state: "ready", progress: 100, generation: 1, attempt: 1, createdAt: at, updatedAt: at, version: 5, ...changes };
}

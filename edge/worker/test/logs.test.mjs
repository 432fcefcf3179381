// What is printed: enough for the operator, and never a secret. Every other test of this folder searches what its
// platform has printed in the same way, with LOG=requests.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mistyped } from "./api-key.mjs";
import { eventually } from "./listener.mjs";
import { startPlatform } from "./platform.mjs";
import { Secrets } from "./secrets.mjs";

/** All that a caller can put a secret into. */
async function everywhere(platform, key) {
  const headers = { "x-request-id": key, "idempotency-key": key.slice(0, 20), origin: `https://${key}.example` };
  return [
    await platform.upload(key, "film.mp4"),
    await platform.upload(key, "film.mp4", { headers }),
    await platform.upload(mistyped(key), "film.mp4"),
    await platform.upload(key, `${key}.mp4`),
    await platform.call("POST", "/upload-url", { key, body: { filename: "a.mp4", [key]: key } }),
    await platform.call("POST", "/upload-url", { key, body: `{"filename": "${key}` }),
    await platform.playback(key, "acme/film.mp4"),
    await platform.call("POST", `/playback-url?key=processed/acme/film.mp4&${key}=1`, { key }),
    await platform.call("POST", "/playback-url?key=processed%2Facme%2Ffilm.mp4", { key, body: { format: "hls" } }),
    await platform.call("GET", `/videos?after=${key}`, { key }),
    await platform.call("GET", `/healthz?x-api-key=${key}`),
  ];
}

for (const mode of ["failures", "requests"]) {
  test(`with LOG=${mode} no secret is printed, wherever it was put`, async (t) => {
    const platform = await startPlatform(t, { changes: { LOG: mode }, withFaults: true });
    const made = platform.key();
    await platform.replicate(made);
    const counted = platform.secrets.count;
    const answers = await everywhere(platform, made.key);
    assert.ok(answers.some(({ status }) => status === 200) && answers.some(({ status }) => status >= 400));
    assert.ok(platform.secrets.count > counted, "the answers' signatures are searched for");
    await platform.faults({ queueRefuses: true, kvFails: true });
    platform.home.isDown = true;
    await everywhere(platform, made.key);
    await everywhere(platform, platform.key().key);
    platform.kinesis.always = "failed";
    await platform.faults({});
    await everywhere(platform, made.key);
    await eventually("failures in the log", () => platform.lines.filter((it) => it.error).length >= 2);
    const served = platform.lines.filter((it) => it.message === "request served");
    assert.equal(served.length > 0, mode === "requests");
    platform.secrets.assertAbsent(platform.printed);
    for (const { text } of answers) assert.ok(!text.includes(made.key), "an answer does not repeat the key either");
  });
}

test("with LOG=requests a request's line says which, whose, what came of it and how long it took", async (t) => {
  const platform = await startPlatform(t);
  const { key } = platform.knownKey();
  await platform.upload(key, "film.mp4", { headers: { "x-request-id": "told-1" } });
  const line = await eventually("the line", () => platform.lines.find((it) => it["request.id"] === "told-1"));
  assert.equal(line.message, "request served");
  assert.equal(line["http.method"], "POST");
  assert.equal(line["http.path"], "/upload-url");
  assert.equal(line["http.status"], 200);
  assert.equal(line["project.id"], "acme");
  assert.equal(typeof line.duration_ms, "number");
});

test("a secret that is printed is found", () => {
  const secrets = new Secrets();
  secrets.add("an-access-secret");
  secrets.addPem("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n");
  secrets.addAnswer('{"signedUrl":"https://a.example/b?Expires=1&Signature=MEUCIQDabc-_&Key-Pair-Id=K"}');
  secrets.assertAbsent('{"message":"request served","http.path":"/upload-url"}');
  for (const printed of [
    "before an-access-secret after",
    "MIGHAgEAMBMGByqGSM49",
    "it ends in MEUCIQDabc-_",
    "-----BEGIN PRIVATE KEY-----",
    "sio_live_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG_abcdef",
    "https://b.example/a?X-Amz-Signature=0",
    "https://b.example/a?Expires=1&Signature=abc",
    "authorization: AWS4-HMAC-SHA256 Credential=…",
  ]) {
    assert.throws(() => secrets.assertAbsent(`a line\n${printed}\n`), { code: "ERR_ASSERTION" }, printed);
  }
});

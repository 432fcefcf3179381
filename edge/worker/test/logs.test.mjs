// The logs: they contain the lines of requests and failures, and no secrets. All other tests of this folder also search the
// output of their platform for secrets, with LOG=requests.
import assert from "node:assert/strict";
import { test } from "node:test";
import { mistyped } from "./api-key.mjs";
import { eventually } from "./listener.mjs";
import { startPlatform } from "./platform.mjs";
import { Secrets } from "./secrets.mjs";

/** Sends the API key in every part of a request that a caller controls. */
async function sendKeyEverywhere(platform, key) {
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
    await platform.call("GET", `/${key}`),
    await platform.call("GET", `/videos/${key}`, { key }),
    await platform.call("GET", `/videos/${key.replace("sio", "%73io")}/events`, { key }),
    await platform.call("PUT", `/problems/${key}`),
    await platform.call("GET", `/play/processed/acme/${key}.m3u8`),
  ];
}

for (const mode of ["failures", "requests"]) {
  test(`with LOG=${mode} no secret is logged, in whichever part of a request it is`, async (t) => {
    const platform = await startPlatform(t, { changes: { LOG: mode }, withFaults: true });
    const apiKey = platform.newKey();
    await platform.replicate(apiKey);
    const before = platform.secrets.count;
    const responses = await sendKeyEverywhere(platform, apiKey.key);
    assert.ok(responses.some(({ status }) => status === 200) && responses.some(({ status }) => status >= 400));
    assert.ok(platform.secrets.count > before, "the signatures in responses are among the secrets");
    await platform.setFaults({ queueRefuses: true, kvFails: true });
    platform.home.isDown = true;
    await sendKeyEverywhere(platform, apiKey.key);
    await sendKeyEverywhere(platform, platform.newKey().key);
    platform.kinesis.always = "failed";
    await platform.setFaults({});
    await sendKeyEverywhere(platform, apiKey.key);
    await eventually("the failures are logged", () => platform.logLines.filter((it) => it.error).length >= 2);
    const served = platform.logLines.filter((it) => it.message === "request served");
    assert.equal(served.length > 0, mode === "requests");
    platform.secrets.assertAbsent(platform.output);
    for (const { text } of responses) assert.ok(!text.includes(apiKey.key), "a response does not contain the key");
  });
}

test("with LOG=requests the line of a request has its method, path, status, project and duration", async (t) => {
  const platform = await startPlatform(t);
  const { key } = platform.newKnownKey();
  await platform.upload(key, "film.mp4", { headers: { "x-request-id": "logged-1" } });
  const line = await eventually("the line", () => platform.logLines.find((it) => it["request.id"] === "logged-1"));
  assert.equal(line.message, "request served");
  assert.equal(line["http.method"], "POST");
  assert.equal(line["http.route"], "/upload-url");
  assert.equal(line["http.status"], 200);
  assert.equal(line["project.id"], "acme");
  assert.equal(typeof line.duration_ms, "number");
});

test("a secret in the output is found", () => {
  const secrets = new Secrets();
  secrets.add("an-access-secret");
  secrets.addPem("-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n");
  secrets.addResponse('{"signedUrl":"https://a.example/b?Expires=1&Signature=MEUCIQDabc-_&Key-Pair-Id=K"}');
  secrets.assertAbsent('{"message":"request served","http.route":"/upload-url"}');
  for (const output of [
    "before an-access-secret after",
    "MIGHAgEAMBMGByqGSM49",
    "it ends in MEUCIQDabc-_",
    "-----BEGIN PRIVATE KEY-----",
    "sio_live_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG_abcdef",
    "https://b.example/a?X-Amz-Signature=0",
    "https://b.example/a?Expires=1&Signature=abc",
    "authorization: AWS4-HMAC-SHA256 Credential=…",
  ]) {
    assert.throws(() => secrets.assertAbsent(`a line\n${output}\n`), { code: "ERR_ASSERTION" }, output);
  }
});

// The built Worker on workerd, with everything around it that it needs, on loopback.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Log, LogLevel, Miniflare } from "miniflare";
import { mistyped, newKey } from "./api-key.mjs";
import { startHomeRegion } from "./home-region.mjs";
import { startKinesis } from "./kinesis.mjs";
import { eventually, json, listen } from "./listener.mjs";
import { startObjectStore } from "./object-store.mjs";
import { Secrets } from "./secrets.mjs";

const REGION = "eu-west-1";
const STREAM = "streamio-facts";
const BUCKET = "raw";
export const KEY_PAIR_ID = "K2JCJMDEHXQW5F";
export const CDN = "https://d111111abcdef8.cloudfront.net";

const caller = { region: REGION, accessKeyId: "AKIDHOMEEXAMPLE", secretAccessKey: "hidden/home+4bPxRfiCYEXAMPLEKEYhome" };
const uploader = { region: REGION, accessKeyId: "AKIDRAWEXAMPLE", secretAccessKey: "hidden/raw+7MDENGbPxRfiCYEXAMPLEKEYraw" };

/** The folder of a build, or an error that says how to get it. */
function built(folder, command) {
  const read = (file) => {
    try {
      return readFileSync(new URL(file, folder));
    } catch (error) {
      throw new Error(`there is no built Worker in ${fileURLToPath(folder)}: run \`${command}\` first`, { cause: error });
    }
  };
  return { script: read("index.js").toString(), wasm: read("index.wasm") };
}

const folderOf = (path) => pathToFileURL(`${path}/`);

const builds = {
  worker: () => {
    const path = process.env.STREAMIO_EDGE_WORKER;
    return built(path ? folderOf(path) : new URL("../../../target/edge/worker/", import.meta.url), "cargo xtask edge build");
  },
  probes: () => {
    const path = process.env.STREAMIO_EDGE_PROBES;
    return built(path ? folderOf(path) : new URL("../../../target/edge/probes/", import.meta.url), "cargo xtask edge build --probes");
  },
};

/** What the platform's Worker is set up with, beside its addresses. */
function settings({ home, kinesis, store, privateKey }) {
  return {
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: caller.accessKeyId,
    AWS_SECRET_ACCESS_KEY: caller.secretAccessKey,
    S3_ACCESS_KEY_ID: uploader.accessKeyId,
    S3_SECRET_ACCESS_KEY: uploader.secretAccessKey,
    S3_ENDPOINT: store.url,
    S3_RAW_BUCKET: BUCKET,
    S3_ADDRESS_STYLE: "path",
    HOME_URL: home.url,
    KINESIS_ENDPOINT: kinesis.url,
    KINESIS_STREAM: STREAM,
    CDN_BASE_URL: CDN,
    CDN_KEY_PAIR_ID: KEY_PAIR_ID,
    CDN_PRIVATE_KEY: privateKey,
    LOG: "requests",
  };
}

/** Sends what it gets to `COLLECTOR`. */
const DEAD_LETTER_OFFICE = `export default {
  async queue(batch, env) {
    const bodies = batch.messages.map(({ body }) => body);
    await fetch(env.COLLECTOR, { method: "POST", body: JSON.stringify(bodies) });
  },
};`;

/**
 * Starts all of it for the test (or suite) `t`, after which it ends, failing `t` where a secret was printed or a request
 * to the outside was not signed. `changes` are settings, `null` for one that is not there; `without` are bindings that are
 * not there; `withFaults`, the bindings are not the runtime's own but can be made to fail (`faults`, `reads`).
 */
export async function startPlatform(t, { build = "worker", changes = {}, without = [], maxRetries = 100, withFaults = false } = {}) {
  const ends = [];
  const secrets = new Secrets();
  const printed = [];
  const end = async () => {
    for (const it of ends.reverse()) await it();
  };
  try {
    const home = await startHomeRegion(caller);
    ends.push(home.close);
    const kinesis = await startKinesis(caller, STREAM);
    ends.push(kinesis.close);
    const store = await startObjectStore(uploader);
    ends.push(store.close);
    const deadLetters = [];
    const collector = await listen(({ body }) => {
      deadLetters.push(...JSON.parse(body));
      return json({});
    });
    ends.push(collector.close);

    const { privateKey, publicKey } = generateKeyPairSync("ec", {
      namedCurve: "P-256",
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
    });
    secrets.add(caller.secretAccessKey, uploader.secretAccessKey);
    secrets.addPem(privateKey);

    const { script, wasm } = builds[build]();
    const bindings = { ...settings({ home, kinesis, store, privateKey }), ...changes };
    for (const [name, value] of Object.entries(bindings)) if (value === null) delete bindings[name];
    const consumer = { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries, deadLetterQueue: "dead" };
    const producers = { GRANTS: { queueName: "grants" }, DEAD_GRANTS: { queueName: "dead" } };
    for (const name of without) delete producers[name];
    const common = { compatibilityDate: "2026-04-20", compatibilityFlags: ["nodejs_compat"] };
    const miniflare = new Miniflare({
      cf: false,
      host: "127.0.0.1",
      port: 0,
      log: new PrintedLog(printed),
      handleRuntimeStdio(stdout, stderr) {
        for (const stream of [stdout, stderr]) stream.on("data", (chunk) => printed.push(chunk.toString()));
      },
      workers: [
        {
          ...common,
          name: "edge",
          modules: [
            ...(withFaults ? [{ type: "ESModule", path: "entry.mjs", contents: readFileSync(new URL("entry.mjs", import.meta.url), "utf8") }] : []),
            { type: "ESModule", path: "index.js", contents: script },
            { type: "CompiledWasm", path: "index.wasm", contents: wasm },
          ],
          bindings,
          kvNamespaces: without.includes("TENANTS") ? [] : ["TENANTS"],
          queueProducers: producers,
          queueConsumers: without.includes("GRANTS") ? {} : { grants: consumer },
        },
        {
          ...common,
          name: "dead-letter-office",
          modules: [{ type: "ESModule", path: "office.mjs", contents: DEAD_LETTER_OFFICE }],
          bindings: { COLLECTOR: collector.url },
          queueConsumers: { dead: { maxBatchSize: 100, maxBatchTimeout: 0 } },
        },
      ],
    });
    ends.push(() => miniflare.dispose());
    const url = (await miniflare.ready).origin;

    const platform = {
      url,
      home,
      kinesis,
      store,
      deadLetters,
      secrets,
      publicKey,
      miniflare,
      get printed() {
        return printed.join("");
      },
      /** The Worker's own log lines. */
      get lines() {
        return linesOf(printed.join(""));
      },
      lineWith: (message, seconds = 5) =>
        eventually(`a log line “${message}”`, () => linesOf(printed.join("")).find((it) => it.message.includes(message)), seconds),
      /** Replaces what is to fail (entry.mjs). */
      async faults(faults) {
        const { status } = await fetch(`${url}/-/faults`, { method: "POST", body: JSON.stringify(faults) });
        assert.equal(status, 204, "the platform must be started `withFaults`");
      },
      /** The names that were read from KV. */
      async reads() {
        const response = await fetch(`${url}/-/reads`);
        assert.equal(response.status, 200, "the platform must be started `withFaults`");
        return response.json();
      },
      /** A new API key, which nobody knows yet. */
      key(fields) {
        const made = newKey(fields);
        secrets.add(made.key, mistyped(made.key));
        return made;
      },
      /** A new API key that the home region knows. */
      knownKey(fields) {
        const made = platform.key(fields);
        home.tenants.set(made.hash, made.tenant);
        return made;
      },
      /** Puts a tenant's record where the Worker reads it first. */
      async replicate({ hash, tenant }) {
        const namespace = await miniflare.getKVNamespace("TENANTS", "edge");
        await namespace.put(`k:${hash}`, JSON.stringify(tenant));
      },
      /** One call of the API: its status, headers, text, and JSON where it is that. */
      async call(method, path, { key, body, headers = {}, ...rest } = {}) {
        const sent = { ...headers };
        if (key !== undefined) sent["x-api-key"] = key;
        if (body !== undefined && !("content-type" in sent)) sent["content-type"] = "application/json";
        const payload = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
        const began = performance.now();
        const response = await fetch(url + path, { method, headers: sent, body: payload, ...rest });
        const text = await response.text();
        secrets.addAnswer(text);
        const isJson = /json/.test(response.headers.get("content-type") ?? "") && text !== "";
        return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined, took: performance.now() - began };
      },
      upload: (key, filename, rest = {}) => platform.call("POST", "/upload-url", { key, body: { filename }, ...rest }),
      playback: (key, path, rest = {}) => platform.call("POST", `/playback-url?key=${encodeURIComponent(`processed/${path}`)}`, { key, ...rest }),
    };
    t.after(async () => {
      await end();
      secrets.add(...home.signatures, ...kinesis.signatures, ...store.signatures);
      secrets.assertAbsent(platform.printed);
      for (const [name, it] of Object.entries({ home, kinesis, store, collector })) {
        assert.deepEqual(it.refusals ?? [], [], `${name} refused requests of the Worker`);
        assert.deepEqual(it.faults, [], `${name} failed by itself`);
      }
    });
    return platform;
  } catch (error) {
    await end();
    throw error;
  }
}

/** What miniflare itself says belongs to what is printed. */
class PrintedLog extends Log {
  constructor(printed) {
    super(LogLevel.VERBOSE);
    this.printed = printed;
  }

  log(message) {
    this.printed.push(`${message}\n`);
  }
}

function linesOf(printed) {
  const lines = [];
  for (const line of printed.split("\n")) {
    const at = line.indexOf('{"');
    if (at === -1) continue;
    try {
      const read = JSON.parse(line.slice(at));
      if (typeof read.message === "string") lines.push(read);
    } catch {
      // Not one of the Worker's lines.
    }
  }
  return lines;
}

/** Asserts that an answer is a problem with this status and everything that the API promises of one. */
export function assertProblem(answer, status, type) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  assert.equal(answer.json.type, `/problems/${type}`);
  assert.equal(answer.json.status, status);
  assert.match(answer.headers.get("x-request-id"), /^\S+$/);
  assert.equal(answer.json.requestId, answer.headers.get("x-request-id"));
  assert.ok(!/Signature|uploadUrl|signedUrl/.test(answer.text), "a refusal holds no URL");
}

// Starts the built Worker on workerd, with fakes of the services that it calls, on the loopback interface.
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
/** The value of a variable that is `null` in a JSON configuration; `null` in `changes` removes the variable. */
export const JSON_NULL = Symbol("null");
export const CDN = "https://d111111abcdef8.cloudfront.net";

const caller = { region: REGION, accessKeyId: "AKIDHOMEEXAMPLE", secretAccessKey: "hidden/home+4bPxRfiCYEXAMPLEKEYhome" };
const uploader = { region: REGION, accessKeyId: "AKIDRAWEXAMPLE", secretAccessKey: "hidden/raw+7MDENGbPxRfiCYEXAMPLEKEYraw" };

/** Reads a build from its folder. The error for a missing build contains the command that builds it. */
function readBuild(folder, command) {
  const read = (file) => {
    try {
      return readFileSync(new URL(file, folder));
    } catch (error) {
      throw new Error(`there is no built Worker in ${fileURLToPath(folder)}: run \`${command}\` first`, { cause: error });
    }
  };
  return { script: read("index.js").toString(), wasm: read("index.wasm") };
}

const folderUrl = (path) => pathToFileURL(`${path}/`);

const builds = {
  worker: () => {
    const path = process.env.STREAMIO_EDGE_WORKER;
    return readBuild(path ? folderUrl(path) : new URL("../../../target/edge/worker/", import.meta.url), "cargo xtask edge build");
  },
  probes: () => {
    const path = process.env.STREAMIO_EDGE_PROBES;
    return readBuild(path ? folderUrl(path) : new URL("../../../target/edge/probes/", import.meta.url), "cargo xtask edge build --probes");
  },
};

/** Returns the Worker's variables and secrets. */
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

/** A Worker that sends dead letters to `COLLECTOR`. */
const DEAD_LETTER_CONSUMER = `export default {
  async queue(batch, env) {
    const bodies = batch.messages.map(({ body }) => body);
    await fetch(env.COLLECTOR, { method: "POST", body: JSON.stringify(bodies) });
  },
};`;

/**
 * Starts a platform that stops after the test (or suite) `t`. Fails `t` if the output contains a secret, or if a request of the
 * Worker was refused, for example because it was not signed.
 *
 * `changes` replaces settings; `null` removes one. `without` lists bindings to remove. `withFaults` wraps the bindings, so that
 * they can be made to fail (`setFaults`) and record reads (`kvReads`).
 */
export async function startPlatform(t, { build = "worker", changes = {}, without = [], maxRetries = 100, withFaults = false, compatibilityFlags = ["nodejs_compat"] } = {}) {
  const closers = [];
  const secrets = new Secrets();
  const chunks = [];
  const close = async () => {
    for (const it of closers.reverse()) await it();
  };
  try {
    const home = await startHomeRegion(caller);
    closers.push(home.close);
    const kinesis = await startKinesis(caller, STREAM);
    closers.push(kinesis.close);
    const store = await startObjectStore(uploader);
    closers.push(store.close);
    const deadLetters = [];
    const collector = await listen(({ body }) => {
      deadLetters.push(...JSON.parse(body));
      return json({});
    });
    closers.push(collector.close);

    const { privateKey, publicKey } = generateKeyPairSync("ec", {
      namedCurve: "P-256",
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
    });
    secrets.add(caller.secretAccessKey, uploader.secretAccessKey);
    secrets.addPem(privateKey);

    const { script, wasm } = builds[build]();
    const bindings = { ...settings({ home, kinesis, store, privateKey }), ...changes };
    for (const [name, value] of Object.entries(bindings)) {
      if (value === null) delete bindings[name];
      if (value === JSON_NULL) bindings[name] = null;
    }
    const consumer = { maxBatchSize: 100, maxBatchTimeout: 1, maxRetries, deadLetterQueue: "dead" };
    const producers = { GRANTS: { queueName: "grants" }, DEAD_GRANTS: { queueName: "dead" } };
    for (const name of without) delete producers[name];
    const common = { compatibilityDate: "2026-04-20", compatibilityFlags };
    const miniflare = new Miniflare({
      cf: false,
      host: "127.0.0.1",
      port: 0,
      log: new OutputLog(chunks),
      // miniflare logs the path of each request; the Worker does not.
      logRequests: false,
      handleRuntimeStdio(stdout, stderr) {
        for (const stream of [stdout, stderr]) stream.on("data", (chunk) => chunks.push(chunk.toString()));
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
          name: "dead-letter-consumer",
          modules: [{ type: "ESModule", path: "consumer.mjs", contents: DEAD_LETTER_CONSUMER }],
          bindings: { COLLECTOR: collector.url },
          queueConsumers: { dead: { maxBatchSize: 100, maxBatchTimeout: 0 } },
        },
      ],
    });
    closers.push(() => miniflare.dispose());
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
      /** Everything that workerd and miniflare have printed. */
      get output() {
        return chunks.join("");
      },
      /** The log lines of the Worker. */
      get logLines() {
        return parseLogLines(chunks.join(""));
      },
      /** Waits for a log line whose message contains `message`. */
      findLogLine: (message, seconds = 5) =>
        eventually(`a log line with “${message}”`, () => parseLogLines(chunks.join("")).find((it) => it.message.includes(message)), seconds),
      /** Sets the faults of the bindings (entry.mjs). */
      async setFaults(faults) {
        const { status } = await fetch(`${url}/-/faults`, { method: "POST", body: JSON.stringify(faults) });
        assert.equal(status, 204, "the platform must be started `withFaults`");
      },
      /** Returns the names that were read from KV. */
      async kvReads() {
        const response = await fetch(`${url}/-/reads`);
        assert.equal(response.status, 200, "the platform must be started `withFaults`");
        return response.json();
      },
      /** Returns the retried messages of the queue and the number of failed acknowledgements (entry.mjs). */
      async deliveries() {
        const response = await fetch(`${url}/-/deliveries`);
        assert.equal(response.status, 200, "the platform must be started `withFaults`");
        return response.json();
      },
      /** Returns a new API key that is neither in KV nor in the home region. */
      newKey(fields) {
        const apiKey = newKey(fields);
        secrets.add(apiKey.key, mistyped(apiKey.key));
        return apiKey;
      },
      /** Returns a new API key that is in the home region. */
      newKnownKey(fields) {
        const apiKey = platform.newKey(fields);
        home.tenants.set(apiKey.hash, apiKey.tenant);
        return apiKey;
      },
      /** Writes a tenant's record to KV. */
      async replicate({ hash, tenant }) {
        const namespace = await miniflare.getKVNamespace("TENANTS", "edge");
        await namespace.put(`k:${hash}`, JSON.stringify(tenant));
      },
      /**
       * Calls the API. Returns the status, the headers, the text, the JSON if there is any, and the duration in
       * milliseconds.
       */
      async call(method, path, { key, body, headers = {}, ...rest } = {}) {
        const sent = { ...headers };
        if (key !== undefined) sent["x-api-key"] = key;
        if (body !== undefined && !("content-type" in sent)) sent["content-type"] = "application/json";
        const payload = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
        const start = performance.now();
        const response = await fetch(url + path, { method, headers: sent, body: payload, ...rest });
        const text = await response.text();
        secrets.addResponse(text);
        const isJson = /json/.test(response.headers.get("content-type") ?? "") && text !== "";
        return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined, duration: performance.now() - start };
      },
      upload: (key, filename, rest = {}) => platform.call("POST", "/upload-url", { key, body: { filename }, ...rest }),
      playback: (key, path, rest = {}) => platform.call("POST", `/playback-url?key=${encodeURIComponent(`processed/${path}`)}`, { key, ...rest }),
    };
    t.after(async () => {
      await close();
      secrets.add(...home.signatures, ...kinesis.signatures, ...store.signatures);
      secrets.assertAbsent(platform.output);
      for (const [name, it] of Object.entries({ home, kinesis, store, collector })) {
        assert.deepEqual(it.refusals ?? [], [], `${name} refused requests of the Worker`);
        assert.deepEqual(it.errors, [], `${name} had errors`);
      }
    });
    return platform;
  } catch (error) {
    await close();
    throw error;
  }
}

/** A log that adds miniflare's messages to the output. */
class OutputLog extends Log {
  constructor(chunks) {
    super(LogLevel.VERBOSE);
    this.chunks = chunks;
  }

  log(message) {
    this.chunks.push(`${message}\n`);
  }
}

/** Returns the JSON objects with a `message` in the output, one per line. */
function parseLogLines(output) {
  const lines = [];
  for (const line of output.split("\n")) {
    const at = line.indexOf('{"');
    if (at === -1) continue;
    try {
      const read = JSON.parse(line.slice(at));
      if (typeof read.message === "string") lines.push(read);
    } catch {
      // Not a log line of the Worker.
    }
  }
  return lines;
}

/** Asserts that a response is a problem with this status and type, with all required fields and without a URL. */
export function assertProblem(response, status, type) {
  assert.equal(response.status, status, response.text);
  assert.equal(response.headers.get("content-type"), "application/problem+json", `${response.status}: ${response.text}`);
  assert.equal(response.json.type, `/problems/${type}`);
  assert.equal(response.json.status, status);
  assert.match(response.headers.get("x-request-id"), /^\S+$/);
  assert.equal(response.json.requestId, response.headers.get("x-request-id"));
  assert.ok(!/Signature=|uploadUrl|signedUrl/.test(response.text), "a problem contains no URL");
}

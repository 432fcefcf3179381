// Runs the built Worker on workerd, for the one-machine platform (`streamio up --edge workerd`) and for tests.
//
// Standard input: one line of JSON, and further ones {"tenants"} as the records change, until its end, which ends everything.
//
//   folder   where index.js and index.wasm are
//   host     the address to listen on
//   port     the port to listen on; 0: any
//   texts    the Worker's variables and secrets by their names (wrangler.toml explains them)
//   queue    {"batchSeconds", "retries"}: how long a batch of the queue GRANTS may take to fill, and how often a message
//            that was not taken is delivered again before it is dead
//   tenants  the records of API keys for the KV namespace TENANTS, by their names
//
// Standard output: one line `{"url"}` when requests are answered.
// Standard error: what the Worker and workerd log, one JSON object a line: what the Worker has written there, with `level`.
//
// SIGTERM and the end of standard input let requests finish and end workerd. However this process ends, workerd ends too.
// KV and queues are miniflare's: a queue lives in workerd's memory, so that what waits in it ends with it.

import { spawn } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** As long as the platform gives to requests in flight, in milliseconds. */
const DRAIN = 10_000;
const LEVELS = new Map([["log", "info"], ["info", "info"], ["warn", "warn"], ["error", "error"], ["debug", "debug"]]);

const say = (line) => process.stderr.write(`${JSON.stringify(line)}\n`);

function fail(message) {
  say({ level: "error", message });
  process.exit(1);
}

/** A line of workerd: a log of the Worker in workerd's envelope, or words of its own. */
function relay(text) {
  if (text.trim() === "") return;
  const envelope = objectOf(text);
  const message = envelope?.message ?? text;
  const level = LEVELS.get(envelope?.level) ?? (envelope === undefined ? "warn" : "info");
  say({ level, ...(objectOf(message) ?? { message: String(message) }) });
}

function objectOf(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Kills `child` when this process has gone without a word, even by SIGKILL: nobody else would. */
function watch(child) {
  const script = 'read -r word; [ "$word" = ended ] || kill -KILL "$1"';
  const watchdog = spawn("sh", ["-c", script, "sh", String(child.pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    // Signals to this process's group are not for it.
    detached: true,
  });
  watchdog.on("error", (error) => fail(`no watchdog for workerd could be started: ${error.message}`));
  watchdog.stdin.on("error", () => {});
  // From here on its process id may be another's.
  child.once("exit", () => watchdog.stdin.end("ended\n"));
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { value: line } = await lines.next();
const config = line === undefined ? undefined : objectOf(line);
if (config === undefined) fail("the first line of standard input must be the configuration in JSON");

const { Miniflare } = await import("miniflare").catch((error) =>
  fail(`the npm package miniflare is not beside ${new URL(import.meta.url).pathname}: run \`npm ci\` there (${error.code})`),
);

const modules = await Promise.all(
  [["ESModule", "index.js"], ["CompiledWasm", "index.wasm"]].map(async ([type, name]) => {
    const contents = await readFile(join(config.folder, name));
    return { type, path: join(config.folder, name), contents: type === "ESModule" ? contents.toString() : contents };
  }),
).catch((error) => fail(`the Worker is not built: ${error.message}`));

let workerd;
let stopping = false;

// miniflare keeps the process to itself.
subscribe("child_process", ({ process: child }) => {
  child.once("spawn", () => {
    if (workerd !== undefined || !child.spawnargs.includes("serve")) return;
    workerd = child;
    watch(child);
    child.once("exit", (code, signal) => {
      if (!stopping) fail(`workerd has ended by itself (${signal ?? `exit code ${code}`})`);
    });
  });
});

const miniflare = new Miniflare({
  modules,
  modulesRoot: config.folder,
  // As in wrangler.toml.
  compatibilityDate: "2026-04-20",
  compatibilityFlags: ["nodejs_compat"],
  bindings: config.texts,
  kvNamespaces: ["TENANTS"],
  queueProducers: { GRANTS: { queueName: "grants" }, DEAD_GRANTS: { queueName: "dead-grants" } },
  queueConsumers: {
    grants: {
      maxBatchSize: 100,
      maxBatchTimeout: config.queue.batchSeconds,
      maxRetries: config.queue.retries,
      deadLetterQueue: "dead-grants",
    },
  },
  cf: false,
  // miniflare's own way in changes requests and answers (compression, headers): it stays unused.
  host: "127.0.0.1",
  port: 0,
  unsafeDirectSockets: [{ host: config.host, port: config.port }],
  // Makes workerd write its logs as JSON; they are read below, so that what is no JSON is not lost.
  handleStructuredLogs: () => {},
  handleRuntimeStdio(stdout, stderr) {
    for (const input of [stdout, stderr]) createInterface({ input }).on("line", relay);
  },
});

async function stop() {
  if (stopping) return;
  stopping = true;
  if (workerd !== undefined && workerd.exitCode === null && workerd.signalCode === null) {
    const ended = new Promise((resolve) => workerd.once("exit", resolve));
    // It takes no more connections, and ends when the last request is answered.
    workerd.kill("SIGTERM");
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, DRAIN))]);
  }
  await miniflare.dispose();
  process.exit(0);
}

async function replicate(records) {
  const tenants = await miniflare.getKVNamespace("TENANTS");
  await Promise.all(Object.entries(records).map(([name, value]) => tenants.put(name, value)));
}

const url = await miniflare.ready
  .then(() => replicate(config.tenants ?? {}))
  .then(() => miniflare.unsafeGetDirectURL())
  .catch((error) => fail(`workerd did not start: ${error.message}`));

// In place of miniflare's, which would cut off the requests in flight.
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.removeAllListeners(signal);
  process.on(signal, stop);
}
process.stdout.write(`${JSON.stringify({ url: url.origin })}\n`);
for (;;) {
  const { value: line, done } = await lines.next();
  // Whoever has started this is gone, or wants it to end.
  if (done) break;
  const records = objectOf(line)?.tenants;
  if (records === undefined || stopping) continue;
  await replicate(records).catch((error) =>
    say({ level: "error", message: `changes of API keys did not come to the KV namespace: ${error.message}` }),
  );
}
await stop();

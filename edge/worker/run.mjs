// Runs the built Worker on workerd, for the one-machine platform (`streamio up --edge workerd`) and for tests.
//
// Standard input: one line of JSON with the configuration, then one line {"tenants"} for each change of the records. The end of
// standard input stops the Worker.
//
//   folder   the folder with index.js and index.wasm
//   host     the address to listen on
//   port     the port to listen on; 0 for a free port
//   texts    the Worker's variables and secrets by name (wrangler.toml describes them)
//   queue    {"batchSeconds", "retries"}: the time in which a batch of the queue GRANTS fills, and the number of redeliveries of a
//            message before it becomes a dead letter
//   tenants  the records of API keys for the KV namespace TENANTS, by name
//
// Standard output: one line `{"url"}` when the Worker accepts requests.
// Standard error: the logs, one JSON object with `level` per line. A log line of the Worker keeps its fields; other lines of
// workerd become `message`.
//
// On SIGTERM and at the end of standard input, requests in flight finish, then workerd ends. workerd ends with this process in
// all other cases too, even after SIGKILL. KV and queues are simulated by miniflare in workerd's memory, so the messages in a
// queue are lost when workerd ends.

import { spawn } from "node:child_process";
import { subscribe } from "node:diagnostics_channel";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** The time for requests in flight to finish, in milliseconds. The platform allows the same time. */
const DRAIN_TIMEOUT = 10_000;
const LEVELS = new Map([["log", "info"], ["info", "info"], ["warn", "warn"], ["error", "error"], ["debug", "debug"]]);

const log = (line) => process.stderr.write(`${JSON.stringify(line)}\n`);

/** Logs an error and exits with status 1. */
function fail(message) {
  log({ level: "error", message });
  process.exit(1);
}

/** Logs a line of workerd, which is a log line of the Worker in an envelope of JSON, or a message of workerd. */
function relay(text) {
  if (text.trim() === "") return;
  const envelope = parseObject(text);
  const message = envelope?.message ?? text;
  const level = LEVELS.get(envelope?.level) ?? (envelope === undefined ? "warn" : "info");
  log({ level, ...(parseObject(message) ?? { message: String(message) }) });
}

/** Parses a JSON object. Returns `undefined` for any other text. */
function parseObject(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Starts a watchdog process that kills `child` when this process ends without stopping it, for example by SIGKILL. */
function startWatchdog(child) {
  const script = 'read -r word; [ "$word" = ended ] || kill -KILL "$1"';
  const watchdog = spawn("sh", ["-c", script, "sh", String(child.pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    // In a separate process group, so that signals to this process's group do not end it.
    detached: true,
  });
  watchdog.on("error", (error) => fail(`the watchdog of workerd could not be started: ${error.message}`));
  watchdog.stdin.on("error", () => {});
  // After the exit another process may get the same process id, so the watchdog must not kill it.
  child.once("exit", () => watchdog.stdin.end("ended\n"));
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { value: line } = await lines.next();
const config = line === undefined ? undefined : parseObject(line);
if (config === undefined) fail("the first line of standard input must be the configuration in JSON");

const { Miniflare } = await import("miniflare").catch((error) =>
  fail(`the npm package miniflare is not installed for ${new URL(import.meta.url).pathname}: run \`npm ci\` in its folder (${error.code})`),
);

const modules = await Promise.all(
  [["ESModule", "index.js"], ["CompiledWasm", "index.wasm"]].map(async ([type, name]) => {
    const contents = await readFile(join(config.folder, name));
    return { type, path: join(config.folder, name), contents: type === "ESModule" ? contents.toString() : contents };
  }),
).catch((error) => fail(`the Worker is not built: ${error.message}`));

let workerd;
let stopping = false;

// miniflare does not expose the process of workerd, so it is found by its start.
subscribe("child_process", ({ process: child }) => {
  child.once("spawn", () => {
    if (workerd !== undefined || !child.spawnargs.includes("serve")) return;
    workerd = child;
    startWatchdog(child);
    child.once("exit", (code, signal) => {
      if (!stopping) fail(`workerd has ended unexpectedly (${signal ?? `exit code ${code}`})`);
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
  // miniflare's entry server changes requests and responses (compression, headers), so it is not used. Requests are sent to the
  // direct socket.
  host: "127.0.0.1",
  port: 0,
  unsafeDirectSockets: [{ host: config.host, port: config.port }],
  // Makes workerd write its logs as JSON. They are read below and not here, because lines that are not JSON would be lost.
  handleStructuredLogs: () => {},
  handleRuntimeStdio(stdout, stderr) {
    for (const input of [stdout, stderr]) createInterface({ input }).on("line", relay);
  },
});

/** Stops workerd after the requests in flight, and exits with status 0. */
async function stop() {
  if (stopping) return;
  stopping = true;
  if (workerd !== undefined && workerd.exitCode === null && workerd.signalCode === null) {
    const exited = new Promise((resolve) => workerd.once("exit", resolve));
    // workerd then accepts no more connections, and ends after the last response.
    workerd.kill("SIGTERM");
    await Promise.race([exited, new Promise((resolve) => setTimeout(resolve, DRAIN_TIMEOUT))]);
  }
  await miniflare.dispose();
  process.exit(0);
}

/** Writes records of API keys to the KV namespace. */
async function replicate(records) {
  const tenants = await miniflare.getKVNamespace("TENANTS");
  await Promise.all(Object.entries(records).map(([name, value]) => tenants.put(name, value)));
}

const url = await miniflare.ready
  .then(() => replicate(config.tenants ?? {}))
  .then(() => miniflare.unsafeGetDirectURL())
  .catch((error) => fail(`workerd did not start: ${error.message}`));

// Replaces miniflare's handlers, which would interrupt the requests in flight.
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.removeAllListeners(signal);
  process.on(signal, stop);
}
process.stdout.write(`${JSON.stringify({ url: url.origin })}\n`);
for (;;) {
  const { value: line, done } = await lines.next();
  // The parent process has ended or has closed standard input to stop the Worker.
  if (done) break;
  const records = parseObject(line)?.tenants;
  if (records === undefined || stopping) continue;
  await replicate(records).catch((error) =>
    log({ level: "error", message: `changes of API keys could not be written to the KV namespace: ${error.message}` }),
  );
}
await stop();

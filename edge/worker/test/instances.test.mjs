// How the entry handles an instance of the module that ends, tested with a fake module.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { build } from "esbuild";

const ENTRY = fileURLToPath(new URL("../index.js", import.meta.url));

/** The state of the fake module: the number of resets, the handlers of the next requests, and the module's imports. */
const fake = { resets: 0, handlers: [], host: undefined };
globalThis.fake = fake;

const EDGE = `
  export { instanceEnded } from "./recovery.js";
  import { instanceEnded } from "./recovery.js";
  globalThis.fake.host = { instanceEnded };
  export const initSync = () => {};
  export const installPanicHook = () => {};
  export const requestHeaders = () => "x-api-key";
  export const handle = () => globalThis.fake.handlers.shift()();
  export const fail = () => new Response("failed", { status: 500 });
  export const notRecorded = () => new Response("not recorded", { status: 503 });
  export const queue = async () => {};
  export const scheduled = async () => {};
  export const __wbg_reset_state = () => { globalThis.fake.resets += 1; };
`;

/** Bundles and imports the entry with the fake module. */
async function load() {
  const modules = {
    name: "modules",
    setup(builder) {
      builder.onResolve({ filter: /edge(_bg)?\.(js|wasm)$/ }, ({ path, resolveDir }) => ({ path, namespace: "fake", pluginData: resolveDir }));
      builder.onLoad({ filter: /.*/, namespace: "fake" }, ({ path, pluginData }) => ({
        contents: path.endsWith(".wasm") ? "export default {};" : EDGE,
        resolveDir: pluginData,
      }));
    },
  };
  const { outputFiles } = await build({ entryPoints: [ENTRY], bundle: true, format: "esm", write: false, plugins: [modules] });
  const url = `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`;
  return (await import(url)).default;
}

test("a panic ends the requests that wait for its instance, and not those that wait for the next one", async () => {
  const worker = await load();
  const send = (handler) => {
    fake.handlers.push(handler);
    return worker.fetch(new Request("http://127.0.0.1/healthz"), {}, {});
  };
  const forever = () => new Promise(() => {});
  const waiting = [send(forever), send(forever), send(forever)];

  const panicked = send(() => {
    fake.host.instanceEnded();
    throw new Error("unreachable");
  });
  let settle;
  // Starts before the waiting requests are rejected, and uses the new instance.
  const next = send(() => new Promise((resolve) => (settle = resolve)));
  for (const ended of [panicked, ...waiting]) assert.equal((await ended).status, 500);
  settle(new Response("fine"));
  assert.equal((await next).status, 200);
  assert.equal(fake.resets, 1);
});

test("a response whose grant is not accepted is replaced by 503", async () => {
  const worker = await load();
  const refused = Promise.reject(new Error("full"));
  refused.catch(() => {});
  fake.handlers.push(() => [new Response("a URL"), refused], () => [new Response("a URL"), Promise.resolve()]);
  const response = await worker.fetch(new Request("http://127.0.0.1/upload-url"), {}, {});
  assert.deepEqual([response.status, await response.text()], [503, "not recorded"]);
  assert.equal((await worker.fetch(new Request("http://127.0.0.1/upload-url"), {}, {})).status, 200);
});

test("a trap that is no panic ends the instance, and is logged without its message", async () => {
  const worker = await load();
  const lines = [];
  const { error } = console;
  console.error = (line) => lines.push(line);
  try {
    const resets = fake.resets;
    fake.handlers.push(
      () => {
        throw new RangeError("Maximum call stack size exceeded at hidden-0123456789");
      },
      () => new Response("fine"),
    );
    assert.equal((await worker.fetch(new Request("http://127.0.0.1/healthz"), {}, {})).status, 500);
    assert.equal((await worker.fetch(new Request("http://127.0.0.1/healthz"), {}, {})).status, 200);
    assert.equal(fake.resets, resets + 1);
  } finally {
    console.error = error;
  }
  assert.equal(lines.length, 1);
  assert.equal(JSON.parse(lines[0]).error, "RangeError");
  assert.ok(!lines[0].includes("hidden"));
});

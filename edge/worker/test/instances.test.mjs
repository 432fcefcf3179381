// The entry's ways with a module that ends, shown with a module that only pretends to be one.
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { build } from "esbuild";

const ENTRY = fileURLToPath(new URL("../index.js", import.meta.url));

/** What the test sees of the pretended module, and how it makes it answer. */
const pretended = { resets: 0, answers: [], host: undefined };
globalThis.pretended = pretended;

const EDGE = `
  export { instanceEnded } from "./recovery.js";
  import { instanceEnded } from "./recovery.js";
  globalThis.pretended.host = { instanceEnded };
  export const initSync = () => {};
  export const installPanicHook = () => {};
  export const requestHeaders = () => "x-api-key";
  export const handle = () => globalThis.pretended.answers.shift()();
  export const fail = () => new Response("failed", { status: 500 });
  export const notRecorded = () => new Response("not recorded", { status: 503 });
  export const queue = async () => {};
  export const scheduled = async () => {};
  export const __wbg_reset_state = () => { globalThis.pretended.resets += 1; };
`;

async function load() {
  const modules = {
    name: "modules",
    setup(builder) {
      builder.onResolve({ filter: /edge(_bg)?\.(js|wasm)$/ }, ({ path, resolveDir }) => ({ path, namespace: "pretended", pluginData: resolveDir }));
      builder.onLoad({ filter: /.*/, namespace: "pretended" }, ({ path, pluginData }) => ({
        contents: path.endsWith(".wasm") ? "export default {};" : EDGE,
        resolveDir: pluginData,
      }));
    },
  };
  const { outputFiles } = await build({ entryPoints: [ENTRY], bundle: true, format: "esm", write: false, plugins: [modules] });
  const url = `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`;
  return (await import(url)).default;
}

test("a panic ends those that waited for its instance, and not those that wait for the next one", async () => {
  const worker = await load();
  const ask = (answer) => {
    pretended.answers.push(answer);
    return worker.fetch(new Request("http://127.0.0.1/healthz"), {}, {});
  };
  const forever = () => new Promise(() => {});
  const waited = [ask(forever), ask(forever), ask(forever)];

  const panicked = ask(() => {
    pretended.host.instanceEnded();
    throw new Error("unreachable");
  });
  let settle;
  // Begun at once, before those that waited have been told: it has the new instance.
  const next = ask(() => new Promise((resolve) => (settle = resolve)));
  for (const ended of [panicked, ...waited]) assert.equal((await ended).status, 500);
  settle(new Response("fine"));
  assert.equal((await next).status, 200);
  assert.equal(pretended.resets, 1);
});

test("an answer whose grant is not accepted does not leave", async () => {
  const worker = await load();
  const refused = Promise.reject(new Error("full"));
  refused.catch(() => {});
  pretended.answers.push(() => [new Response("a URL"), refused], () => [new Response("a URL"), Promise.resolve()]);
  const answer = await worker.fetch(new Request("http://127.0.0.1/upload-url"), {}, {});
  assert.deepEqual([answer.status, await answer.text()], [503, "not recorded"]);
  assert.equal((await worker.fetch(new Request("http://127.0.0.1/upload-url"), {}, {})).status, 200);
});

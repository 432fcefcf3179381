// A web server with an origin of its own: the tenant's web pages and backend, with the code of docs/uploading.md.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { build } from "esbuild";
import { codeBlock } from "./documentation.mjs";

const folder = new URL(".", import.meta.url);
const JAVASCRIPT = "text/javascript";
const PAGE = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><input type="file"><video muted playsinline></video><canvas></canvas>';

/** Starts the server. `connect` sets the platform of its backend, and `atEnd` registers its end. */
export async function startPages(atEnd) {
  const files = new Map([
    ["/", { type: "text/html", body: PAGE }],
    ["/uppy.js", { type: JAVASCRIPT, body: await bundle(codeBlock("uppy.js")) }],
    ["/hls.mjs", { type: JAVASCRIPT, body: await readFile(new URL("node_modules/hls.js/dist/hls.mjs", folder)) }],
    ["/player.js", { type: JAVASCRIPT, body: await readFile(new URL("player.js", folder)) }],
    ...["grant.js", "fetch.js", "xhr.js"].map((name) => [`/${name}`, { type: JAVASCRIPT, body: codeBlock(name) }]),
  ]);
  const { requestGrant } = await import(`data:text/javascript,${encodeURIComponent(codeBlock("backend"))}`);
  const server = createServer(async (request, response) => {
    if (request.method === "POST" && request.url === "/uploads") {
      const fields = JSON.parse(await text(request));
      const answer = await requestGrant(fields).then((grant) => [200, JSON.stringify(grant)], (error) => [500, error.message]);
      response.writeHead(answer[0], { "content-type": "application/json" }).end(answer[1]);
      return;
    }
    const { pathname } = new URL(request.url, "http://pages");
    const file = files.get(pathname);
    response.writeHead(file ? 200 : 404, { "content-type": `${file?.type ?? "text/plain"}; charset=utf-8` }).end(file?.body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    /** Adds an HTML page. */
    addPage: (path, body) => files.set(path, { type: "text/html", body }),
    connect({ api, apiKey }) {
      process.env.STREAMIO_URL = api;
      process.env.STREAMIO_API_KEY = apiKey;
    },
  };
}

/** Bundles a module with the npm packages that it imports, as a tenant's build does. */
async function bundle(contents) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: folder.pathname },
    external: ["./grant.js"],
    bundle: true,
    format: "esm",
    write: false,
    logLevel: "warning",
  });
  return outputFiles[0].text;
}

async function text(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

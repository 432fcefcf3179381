// HTTP servers on free ports of the loopback interface.
import { createServer } from "node:http";

/**
 * Starts a server. `handle({ method, url, headers, body })` returns the response `{ status, headers, body }`. If it returns
 * `undefined`, the connection is closed without a response. If it returns `{ hangs }`, the connection stays open without a response
 * (`before-response`), or with an incomplete one (`in-response`).
 */
export async function listen(handle) {
  const errors = [];
  const server = createServer(async (request, response) => {
    try {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const { method, url, headers } = request;
      const result = await handle({ method, url, headers, body: Buffer.concat(chunks) });
      if (result === undefined) {
        request.socket.destroy();
        return;
      }
      if (result.hangs === "before-response") return;
      response.writeHead(result.status ?? 200, result.headers ?? {});
      if (result.hangs === "in-response") {
        response.write('{"ok":');
        return;
      }
      response.end(result.body ?? "");
    } catch (error) {
      // A client may disconnect at any time, which is not an error of the server.
      if (error.code !== "ECONNRESET") errors.push(error);
      request.socket.destroy();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Errors of `handle`. Tests assert that there are none. */
    errors,
    close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      return closed;
    },
  };
}

export const json = (value, status = 200, type = "application/json") => ({
  status,
  headers: { "content-type": type },
  body: JSON.stringify(value),
});

/** Waits until `condition` returns a truthy value, and returns that value. The error after `seconds` contains `what`. */
export async function eventually(what, condition, seconds = 10) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`not fulfilled after ${seconds} seconds: ${what}`);
    await sleep(25);
  }
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

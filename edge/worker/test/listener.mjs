// HTTP servers on the loopback interface, on ports of the system's choice.
import { createServer } from "node:http";

/**
 * Serves `answer({ method, url, headers, body })`, which answers `{ status, headers, body }`, or nothing: then the
 * connection is cut without an answer, as by a service that is down. `{ stalls }` leaves it open without an answer
 * (`silence`), or with the beginning of one (`half`).
 */
export async function listen(answer) {
  const faults = [];
  const server = createServer(async (request, response) => {
    try {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const { method, url, headers } = request;
      const answered = await answer({ method, url, headers, body: Buffer.concat(chunks) });
      if (answered === undefined) {
        request.socket.destroy();
        return;
      }
      if (answered.stalls === "silence") return;
      response.writeHead(answered.status ?? 200, answered.headers ?? {});
      if (answered.stalls === "half") {
        response.write('{"ok":');
        return;
      }
      response.end(answered.body ?? "");
    } catch (error) {
      // A client that went away in the middle is no fault of the server.
      if (error.code !== "ECONNRESET") faults.push(error);
      request.socket.destroy();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Errors of the server's own code: a test that ignores them would pass for the wrong reason. */
    faults,
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

/** What a test decides to wait for. `what` says it in the error. */
export async function eventually(what, condition, seconds = 10) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`after ${seconds} seconds still not: ${what}`);
    await pause(25);
  }
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

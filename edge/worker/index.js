// The Worker's entry: passes the runtime's events to the Wasm module (edge/src/worker.rs).
//
// `fetch` is written in JavaScript because `#[event(fetch)]` of the crate `worker` serves a third fewer requests/s
// (docs/benchmarks.md). It also creates a new instance of the module after one has ended.

import { readAtMost } from "./body.js";
import * as edge from "./edge.js";
import module from "./edge_bg.wasm";
import { hasEnded, instanceEnded, takeEnded, whileInstanceLives } from "./recovery.js";

edge.initSync({ module });
edge.installPanicHook();

const HEADERS = edge.requestHeaders().split(",");
const MAX_BODY_BYTES = 64 * 1024;
const EMPTY = new Uint8Array();
// One byte more than the limit is enough for the API to refuse a body with its own problem.
const TOO_LONG = new Uint8Array(MAX_BODY_BYTES + 1);

export default {
  // One function, because each `await` and each call of an async function costs as much time as a hash.
  async fetch(request, env, context) {
    const head = headOf(request);
    let body = EMPTY;
    try {
      // Reading a stream is slower than `arrayBuffer`: it is used only when the length is unknown or too large.
      const length = request.headers.get("content-length");
      if (length !== null && length <= MAX_BODY_BYTES) body = new Uint8Array(await request.arrayBuffer());
      else if (request.body !== null) body = (await readAtMost(request.body, MAX_BODY_BYTES)) ?? TOO_LONG;
    } catch {
      // The client closed the connection before the end of its request, so it does not read this response.
      return new Response(null, { status: 400 });
    }
    let result;
    try {
      result = call(edge.handle, env, context, head, body, Date.now());
      if (result instanceof Promise) result = await whileInstanceLives(result);
    } catch {
      // The reason has been logged. It may have been a panic in another request, and a new instance may exist already: that one must
      // not be ended.
      return call(edge.fail, env, head);
    }
    if (!Array.isArray(result)) return result;
    try {
      await result[1];
    } catch {
      return call(edge.notRecorded, env, head);
    }
    return result[0];
  },

  queue: (batch, env) => whileInstanceLives(call(edge.queue, batch, env)),
  scheduled: (event, env, context) => whileInstanceLives(call(edge.scheduled, event, env, context)),
};

/**
 * Calls an export of the module, of a new instance when the previous one has ended. Exports throw after a panic, which has logged
 * itself and called `instanceEnded`, or by another trap, such as a stack overflow, which has done neither.
 */
function call(entry, ...args) {
  if (takeEnded()) {
    edge.__wbg_reset_state();
    edge.installPanicHook();
  }
  try {
    return entry(...args);
  } catch (error) {
    if (!hasEnded()) {
      // Only the kind of the error: its message may contain a tenant's data.
      console.error(JSON.stringify({ message: "the Wasm instance has ended; the next request gets a new one", error: error?.name ?? typeof error }));
      instanceEnded();
    }
    throw error;
  }
}

/** The text that `exchange::request` parses: the method, the URL, and the headers that the API uses. */
function headOf(request) {
  let head = `${request.method}\n${request.url}`;
  const headers = request.headers;
  for (const name of HEADERS) {
    const value = headers.get(name);
    head += value === null ? "\n" : `\n=${value}`;
  }
  return head;
}

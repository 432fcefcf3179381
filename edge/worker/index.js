// The Worker's entry: hands the runtime's events to the Wasm module (edge/src/worker.rs).

import * as edge from "./edge.js";
import module from "./edge_bg.wasm";
import { instanceEnded, readAtMost, takeEnded, whileInstanceLives } from "./host.js";

edge.initSync({ module });

const HEADERS = edge.requestHeaders().split(",");
const MAX_BODY_BYTES = 64 * 1024;
const EMPTY = new Uint8Array();
// One byte too many is all that the API needs to refuse a body in its own words.
const TOO_MANY = new Uint8Array(MAX_BODY_BYTES + 1);

export default {
  // The way of most requests, in one function: each `await` and each call of an async function costs as much as a hash.
  async fetch(request, env, context) {
    const head = headOf(request);
    let body = EMPTY;
    try {
      // A stream costs more than the bytes: it is only asked for where their number is not said, or is too large.
      const length = request.headers.get("content-length");
      if (length !== null && length <= MAX_BODY_BYTES) body = new Uint8Array(await request.arrayBuffer());
      else if (request.body !== null) body = (await readAtMost(request.body, MAX_BODY_BYTES)) ?? TOO_MANY;
    } catch {
      // The client has gone away in the middle of its request: it hardly reads the answer.
      return new Response(null, { status: 400 });
    }
    let answer;
    try {
      answer = call(edge.handle, env, context, head, body, Date.now());
      if (answer instanceof Promise) answer = await whileInstanceLives(answer);
    } catch {
      // The module has said in the log what happened; this is for the one who waits. Perhaps it was another request's
      // panic, and others have a new instance by now: that one must not be ended for it.
      return call(edge.fail, env, head);
    }
    if (!Array.isArray(answer)) return answer;
    try {
      await answer[1];
    } catch {
      return call(edge.notRecorded, env, head);
    }
    return answer[0];
  },

  queue: (batch, env) => whileInstanceLives(call(edge.queue, batch, env)),
  scheduled: (_, env) => whileInstanceLives(call(edge.scheduled, env)),
};

/**
 * Calls into the module, into a new instance of it where the one before has ended. No entry throws but by a trap: a panic has
 * said so already, a stack that was too deep has not.
 */
function call(entry, ...args) {
  if (takeEnded()) edge.__wbg_reset_state();
  try {
    return entry(...args);
  } catch (error) {
    instanceEnded();
    throw error;
  }
}

/** What `exchange::request` reads: the method, the path and query, and the headers that the API knows. */
function headOf(request) {
  const url = request.url;
  let head = `${request.method}\n${url.slice(url.indexOf("/", 8))}`;
  const headers = request.headers;
  for (const name of HEADERS) {
    const value = headers.get(name);
    head += value === null ? "\n" : `\n=${value}`;
  }
  return head;
}

// Creates the web responses of the Wasm module (edge/src/worker/exchange.rs).
//
// This is JavaScript because building a `Response` from Rust needs a call for every header. Copying the headers of an existing
// response takes a third of the time of reading them from an object.

/** Responses without a body and without the headers that differ, by number. */
const templates = [];

/** Creates template `number` from `head`: the status, then header names and values in turn, one per line. */
export function createTemplate(number, head) {
  const [status, ...lines] = head.split("\n");
  const headers = new Headers();
  for (let at = 0; at + 1 < lines.length; at += 2) headers.append(lines[at], lines[at + 1]);
  templates[number] = new Response(null, { status: Number(status), headers });
}

/**
 * Creates a response from a template and from `text`, which is the concatenation of the `x-request-id`, the `ratelimit` (may be
 * empty) and the body. With a `receipt`, returns an array of the response and the receipt.
 */
export function respond(template, text, rateLimitAt, bodyAt, receipt) {
  const body = bodyAt === text.length ? null : text.slice(bodyAt);
  const response = new Response(body, templates[template]);
  response.headers.set("x-request-id", text.slice(0, rateLimitAt));
  if (rateLimitAt !== bodyAt) response.headers.set("ratelimit", text.slice(rateLimitAt, bodyAt));
  return receipt === undefined ? response : [response, receipt];
}

/**
 * Creates a response from a template, its `x-request-id`, its `etag` and the bytes of its body, which may be empty and are copied:
 * they are a part of the module's memory.
 */
export function respondWithBytes(template, requestId, etag, bytes) {
  // A `Blob` is a copy by definition, and a `Response` takes its bytes over. A `Response` of bytes copies them in some versions of the
  // runtime and not in others.
  const body = bytes.length === 0 ? null : new Blob([bytes]);
  const response = new Response(body, templates[template]);
  response.headers.set("x-request-id", requestId);
  response.headers.set("etag", etag);
  return response;
}

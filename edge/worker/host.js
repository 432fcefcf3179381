// What the Wasm module asks of its host (edge/src/worker/host.rs).

/** Answers without what is theirs alone, by the text that they were read from: most answers have the same status and headers. */
const known = new Map();
const MOST_KNOWN = 64;

/** `head` is the status and then names and values in turn, one a line. */
function templateOf(head) {
  let template = known.get(head);
  if (template === undefined) {
    if (known.size === MOST_KNOWN) known.clear();
    const end = head.indexOf("\n");
    const status = Number(head.slice(0, end));
    template = new Response(null, { status, headers: add({}, head.slice(end + 1)) });
    known.set(head, template);
  }
  return template;
}

/** Adds names and values that come in turn, one a line. */
function add(headers, text) {
  if (text === "") return headers;
  const lines = text.split("\n");
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const name = lines[at];
    headers[name] = name in headers ? `${headers[name]}, ${lines[at + 1]}` : lines[at + 1];
  }
  return headers;
}

export function respond(head, requestId, rateLimit, body, acceptance) {
  // The runtime copies a response's headers at a third of what it takes to read them from an object.
  const response = new Response(body === "" ? null : body, templateOf(head));
  response.headers.set("x-request-id", requestId);
  if (rateLimit !== undefined) response.headers.set("ratelimit", rateLimit);
  return acceptance === undefined ? response : [response, acceptance];
}

export async function exchange(method, url, head, body, timeout, limit) {
  const response = await fetch(url, {
    method,
    headers: add({}, head),
    body: body.length === 0 ? undefined : body,
    redirect: "manual",
    signal: AbortSignal.timeout(timeout),
  });
  const bytes = await readAtMost(response.body, limit);
  if (bytes === undefined) throw new RangeError("the answer is too long");
  const pairs = [];
  for (const [name, value] of response.headers) pairs.push(name, value);
  return { status: response.status, head: pairs.join("\n"), body: bytes };
}

/** The bytes of a stream, or `undefined` when there are more than `limit`. */
export async function readAtMost(stream, limit) {
  if (stream === null) return new Uint8Array();
  const chunks = [];
  let length = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > limit) {
      await reader.cancel();
      return undefined;
    }
    chunks.push(value);
  }
  if (chunks.length === 1) return chunks[0];
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

let crypto;

/** Reads a private key in PEM. The module is loaded with the first key: at the start it would delay every first answer. */
export function readKey(pem) {
  crypto ??= process.getBuiltinModule("node:crypto");
  return crypto.createPrivateKey(pem);
}

/** PKCS #1 v1.5 for RSA, DER for ECDSA. <https://nodejs.org/api/crypto.html#cryptosignalgorithm-data-key-callback> */
export function sign(algorithm, message, key) {
  return crypto.sign(algorithm, message, key);
}

export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

export function log(level, line) {
  console[level](line);
}

/** Requests that wait for the present instance of the module: how to end each. */
const waiting = new Set();

/** Whether the present instance has ended, by a panic or another trap. */
let ended = false;

export function instanceEnded() {
  ended = true;
  const ends = [...waiting];
  waiting.clear();
  for (const end of ends) end(new Error("the instance has ended"));
}

/** Whether the instance has ended since this was asked last. */
export function takeEnded() {
  const before = ended;
  ended = false;
  return before;
}

/** `promise`, or an error as soon as the instance that is to settle it has ended. */
export function whileInstanceLives(promise) {
  return new Promise((resolve, reject) => {
    waiting.add(reject);
    promise.then(
      (value) => {
        waiting.delete(reject);
        resolve(value);
      },
      (error) => {
        waiting.delete(reject);
        reject(error);
      },
    );
  });
}

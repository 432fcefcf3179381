// Sends the requests of the Wasm module (edge/src/worker/outbound.rs).
//
// This is JavaScript because reading a response from Rust needs a call for each header and several for each chunk of the body.

import { readAtMost } from "./body.js";

/**
 * Sends a request. `head` has the method, the URL, then header names and values in turn, one per line. `timeout` is in milliseconds
 * and includes the body of the response.
 *
 * Returns an array of the response's head (the status, then header names and values in turn, one per line) and the bytes of its
 * body, which are `undefined` if there are more than `limit`.
 */
export async function send(head, body, timeout, limit) {
  const [method, url, ...lines] = head.split("\n");
  const headers = new Headers();
  for (let at = 0; at + 1 < lines.length; at += 2) headers.append(lines[at], lines[at + 1]);
  // The CDN decides about each request by its signature, and calls of the home region must not be answered from a cache.
  const init = { method, headers, body, redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(timeout) };
  const response = await fetch(url, init);
  let received = String(response.status);
  for (const [name, value] of response.headers) received += `\n${name}\n${value}`;
  return [received, await bytes(response, limit)];
}

/** The bytes of the response's body, or `undefined` if there are more than `limit`. */
async function bytes(response, limit) {
  const length = response.headers.get("content-length");
  // The length of an encoded body is not that of the bytes that it is decoded to.
  const isKnown = length !== null && !response.headers.has("content-encoding");
  // Reading a stream is slower than `arrayBuffer`: it is used only when the length is unknown or too large.
  if (isKnown && length <= limit) return new Uint8Array(await response.arrayBuffer());
  return response.body === null ? new Uint8Array() : readAtMost(response.body, limit);
}

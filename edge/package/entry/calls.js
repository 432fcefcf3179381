// The functions of the package. Options and results are passed to and from WebAssembly as JSON, which converts a Date to a
// string and omits undefined. The WebAssembly module validates the options.
import * as signer from "../dist/signer.js";

function invoke(call, options) {
  if (options === null || typeof options !== "object") {
    throw new TypeError("the options must be an object");
  }
  return JSON.parse(call(JSON.stringify(options)));
}

/** Adds the current time, because the WebAssembly module has no clock. */
function withNow(options) {
  return options?.now === undefined ? { ...options, now: Date.now() / 1000 } : options;
}

export function presignPut(options) {
  return invoke(signer.presignPut, withNow(options));
}

export function signPlayback(options) {
  return invoke(signer.signPlayback, options);
}

export function verifyPlayback(options) {
  return invoke(signer.verifyPlayback, withNow(options));
}

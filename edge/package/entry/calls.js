// The three calls. Options and answers cross into WebAssembly as JSON: a Date becomes text on the way, what is
// undefined is left out, and everything else is checked there.
import * as signer from "../dist/signer.js";

function ask(call, options) {
  if (options === null || typeof options !== "object") {
    throw new TypeError("the options must be an object");
  }
  return JSON.parse(call(JSON.stringify(options)));
}

/** WebAssembly has no clock. */
function atOnce(options) {
  return options?.now === undefined ? { ...options, now: Date.now() / 1000 } : options;
}

export function presignPut(options) {
  return ask(signer.presignPut, atOnce(options));
}

export function signPlayback(options) {
  return ask(signer.signPlayback, options);
}

export function verifyPlayback(options) {
  return ask(signer.verifyPlayback, atOnce(options));
}

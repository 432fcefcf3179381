// Validation of object keys. Invalid keys are refused, not corrected.
import { HttpError } from "./input.mjs";

const MAX_KEY_BYTES = 1024 - 96 - 1;
const encoder = new TextEncoder();
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const ASCII = /^[\x20-\x7e]*$/;

/** Returns the part of a source key after the project. Throws an `HttpError` if a name is reserved. */
export function joinPath(path, filename) {
  if (filename.includes("/")) throw new HttpError(400, "filename contains a slash");
  const joined = path === "" || path.endsWith("/") ? path + filename : `${path}/${filename}`;
  for (const segment of joined.split("/")) {
    if (segment.endsWith(".hls") || segment.endsWith(".images")) throw new HttpError(400, "filename or path has a reserved name");
  }
  return joined;
}

/** Throws an `HttpError` if an object key is invalid. */
export function checkKey(key) {
  if (CONTROL.test(key)) throw new HttpError(400, "key contains a control character");
  if (key.includes("\\")) throw new HttpError(400, "key contains a backslash");
  const ascii = ASCII.test(key);
  if (!ascii && key.normalize("NFC") !== key) throw new HttpError(400, "key is not in NFC");
  const bytes = ascii ? key.length : encoder.encode(key).length;
  if (bytes > MAX_KEY_BYTES) throw new HttpError(400, "key is too long");
  for (const segment of key.split("/")) {
    if (segment === "" || segment === "." || segment === "..") throw new HttpError(400, "key has an empty or dot segment");
  }
}

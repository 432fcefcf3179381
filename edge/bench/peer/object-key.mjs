// Object keys: names are normalized to NFC, and invalid keys are refused.
import { HttpError } from "./input.mjs";

const MAX_KEY_BYTES = 1024 - 96 - 1;
const encoder = new TextEncoder();
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const ASCII = /^[\x20-\x7e]*$/;

/** Returns the part of a source key after the project, in NFC. Throws an `HttpError` if a name is reserved. */
export function joinPath(path, filename) {
  if (filename.includes("/")) throw new HttpError(400, "filename contains a slash");
  const joined = normalized(path === "" || path.endsWith("/") ? path + filename : `${path}/${filename}`);
  for (const segment of joined.split("/")) {
    if (segment.endsWith(".hls") || segment.endsWith(".images")) throw new HttpError(400, "filename or path has a reserved name");
  }
  return joined;
}

/** Returns a text in NFC. */
export function normalized(text) {
  return ASCII.test(text) ? text : text.normalize("NFC");
}

/** Throws an `HttpError` if an object key is invalid. */
export function checkKey(key) {
  if (CONTROL.test(key)) throw new HttpError(400, "key contains a control character");
  if (key.includes("\\")) throw new HttpError(400, "key contains a backslash");
  const bytes = ASCII.test(key) ? key.length : encoder.encode(key).length;
  if (bytes > MAX_KEY_BYTES) throw new HttpError(400, "key is too long");
  for (const segment of key.split("/")) {
    if (segment === "" || segment === "." || segment === "..") throw new HttpError(400, "key has an empty or dot segment");
  }
}

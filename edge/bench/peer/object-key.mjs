// Object keys: accepted or refused with a reason, never repaired.
import { Refused } from "./input.mjs";

const MAX_KEY_BYTES = 1024 - 96 - 1;
const encoder = new TextEncoder();
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const ASCII = /^[\x20-\x7e]*$/;

/** What follows the project in a source key. */
export function rest(path, filename) {
  if (filename.includes("/")) throw new Refused(400, "filename contains a slash");
  const whole = path === "" || path.endsWith("/") ? path + filename : `${path}/${filename}`;
  for (const segment of whole.split("/")) {
    if (segment.endsWith(".hls") || segment.endsWith(".images")) throw new Refused(400, "filename or path has a reserved name");
  }
  return whole;
}

export function checkKey(key) {
  if (CONTROL.test(key)) throw new Refused(400, "key contains a control character");
  if (key.includes("\\")) throw new Refused(400, "key contains a backslash");
  const ascii = ASCII.test(key);
  if (!ascii && key.normalize("NFC") !== key) throw new Refused(400, "key is not in NFC");
  const bytes = ascii ? key.length : encoder.encode(key).length;
  if (bytes > MAX_KEY_BYTES) throw new Refused(400, "key is too long");
  for (const segment of key.split("/")) {
    if (segment === "" || segment === "." || segment === "..") throw new Refused(400, "key has an empty or dot segment");
  }
}

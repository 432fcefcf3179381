// Digests, and the encoding of ids.
import { createHash } from "node:crypto";

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

export function sha256(text) {
  return createHash("sha256").update(text).digest();
}

/** Returns the first 26 characters of the base32 encoding of at least 16 bytes. */
export function base32(bytes) {
  let text = "";
  let bits = 0;
  let value = 0;
  for (let index = 0; text.length < 26; index += 1) {
    // Missing bytes count as 0: 16 bytes have 25 characters and 3 bits.
    value = ((value << 8) | (bytes[index] ?? 0)) & 0xffff;
    bits += 8;
    for (; bits >= 5 && text.length < 26; bits -= 5) text += ALPHABET[(value >> (bits - 5)) & 31];
  }
  return text;
}

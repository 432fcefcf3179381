// API keys: `sio_<env>_<43 base62 characters>_<CRC-32 in base62>`.
import { crc32 } from "node:zlib";
import { createHash } from "node:crypto";

const FORMAT = /^sio_[a-z]{2,8}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/;
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Whether the format and the checksum are valid. Needs no lookup. */
export function isApiKey(text) {
  if (!FORMAT.test(text)) return false;
  const body = text.slice(0, -7);
  let sum = crc32(body);
  let digits = "";
  for (let index = 0; index < 6; index += 1) {
    digits = ALPHABET[sum % 62] + digits;
    sum = Math.floor(sum / 62);
  }
  return text.endsWith(digits);
}

/** Returns the hash under which the key is stored. For short texts the synchronous hash is faster than Web Crypto. */
export function hashOf(apiKey) {
  return createHash("sha256").update(apiKey).digest("hex");
}

// API keys and ids. This is an independent implementation of the formats in events/src/api_key.rs and events/src/id.rs.
import { createHash, randomBytes } from "node:crypto";

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

/** Returns a new API key, its hash, and the tenant's record that is stored under the hash. */
export function newKey({ projectId = "acme", scopes = ["admin"], version = 1, ...rest } = {}) {
  const body = `sio_live_${base62(BigInt(`0x${randomBytes(32).toString("hex")}`), 43)}`;
  const key = `${body}_${base62(BigInt(crc32(body)), 6)}`;
  const digest = createHash("sha256").update(key).digest();
  const keyId = `key_${derived([Buffer.from("api key"), digest])}`;
  const tenant = { projectId, keyId, scopes, revoked: false, suspended: false, version, ...rest };
  return { key, hash: digest.toString("hex"), tenant };
}

/** Returns `key` with one character of its secret changed, so that its checksum is wrong. */
export function mistyped(key) {
  const changed = key[20] === "a" ? "b" : "a";
  return key.slice(0, 20) + changed + key.slice(21);
}

/** Returns the id of the video with this source key. */
export function videoId(projectId, s3Key) {
  return `vid_${base32(createHash("sha256").update(`${projectId}\0${s3Key}`).digest())}`;
}

function derived(parts) {
  const hash = createHash("sha256");
  for (const part of parts) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(part.length));
    hash.update(length).update(part);
  }
  return base32(hash.digest());
}

function base32(digest) {
  const bits = [...digest].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return Array.from({ length: 26 }, (_, at) => BASE32[parseInt(bits.slice(at * 5, at * 5 + 5), 2)]).join("");
}

function base62(number, length) {
  let digits = "";
  for (let rest = number; digits.length < length; rest /= 62n) digits = BASE62[Number(rest % 62n)] + digits;
  return digits;
}

function crc32(text) {
  let sum = 0xffffffff;
  for (const byte of Buffer.from(text)) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return (sum ^ 0xffffffff) >>> 0;
}

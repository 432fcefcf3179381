// Generated `signed.json` with new keys: `npm install @aws-sdk/cloudfront-signer@3.1166.0`, then
// `node make.mjs > signed.json`. The private keys were not kept; running it again generates other valid vectors.
import { generateKeyPairSync } from "node:crypto";
import { getSignedCookies, getSignedUrl } from "@aws-sdk/cloudfront-signer";

const base = "https://cdn.example.com";
const dateLessThan = "2038-01-19T03:14:07Z";
const encodings = {
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
};
const pairs = {
  KRSANODE: generateKeyPairSync("rsa", { modulusLength: 2048, ...encodings }),
  KECDSANODE: generateKeyPairSync("ec", { namedCurve: "P-256", ...encodings }),
};

const vectors = [];
for (const [keyPairId, { privateKey }] of Object.entries(pairs)) {
  for (const algorithm of ["SHA1", "SHA256"]) {
    const signer = { keyPairId, privateKey, algorithm };
    const add = (name, url, { wildcard, ...conditions }) => {
      const all = { ...signer, dateLessThan, ...conditions };
      const policy = wildcard && JSON.stringify({
        Statement: [{ Resource: wildcard, Condition: { DateLessThan: { "AWS:EpochTime": 2147483647 } } }],
      });
      const options = policy ? { ...signer, policy } : all;
      vectors.push({
        name: `${keyPairId} ${algorithm} ${name}`,
        url,
        signedUrl: getSignedUrl({ ...options, url }),
        cookies: getSignedCookies(policy ? options : { ...options, url }),
        viewer: conditions.ipAddress ? "192.0.2.200" : "198.51.100.1",
      });
    };
    add("canned", `${base}/processed/acme/clip.mp4`, {});
    add("canned, encoded path", `${base}/processed/acme/caf%C3%A9%20%2B%25.mp4`, {});
    add("canned, own query", `${base}/processed/acme/clip.mp4?size=large&license=yes`, {});
    add("start and address", `${base}/processed/acme/clip.mp4`, {
      dateGreaterThan: "2020-01-01T00:00:00Z",
      ipAddress: "192.0.2.0/24",
    });
    add("wildcard", `${base}/processed/acme/clip.mp4.hls/g1-a1/1.m4s`, { wildcard: `${base}/processed/acme/clip.mp4.hls/*` });
    add("wildcard scheme", `${base}/processed/acme/clip.mp4`, { wildcard: "http*://cdn.example.com/processed/????/clip*" });
  }
}
const publicKeys = Object.fromEntries(Object.entries(pairs).map(([id, pair]) => [id, pair.publicKey]));
console.log(JSON.stringify({ base, publicKeys, vectors }, null, 1));

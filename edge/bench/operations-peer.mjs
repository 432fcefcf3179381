// The same operations with the usual npm packages, called as their documentation shows. Every call has a different object key, so
// that only the signing key of the day can be cached.
import { AwsClient } from "aws4fetch";
import { getSignedUrl } from "@aws-sdk/cloudfront-signer";
import { PLAYLIST } from "./cdn.mjs";
import { perform } from "./operations.mjs";
import { rewrite } from "./peer/playlist.mjs";

let s3;

async function presign(count, env) {
  // The client caches the day's signing key.
  s3 ??= new AwsClient({
    accessKeyId: env.S3_ACCESS_KEY_ID,
    secretAccessKey: env.S3_SECRET_ACCESS_KEY,
    service: "s3",
    region: env.S3_REGION,
  });
  let checksum = 0;
  for (let index = 0; index < count; index += 1) {
    const url = `${env.S3_ENDPOINT}/${env.S3_RAW_BUCKET}/projects/acme/films/clip-${index}.mp4?X-Amz-Expires=900`;
    const signed = await s3.sign(url, { method: "PUT", aws: { signQuery: true } });
    checksum += signed.url.length;
  }
  return checksum;
}

function sign(count, env, privateKey) {
  const dateLessThan = new Date(Date.now() + 3_600_000).toISOString();
  let checksum = 0;
  for (let index = 0; index < count; index += 1) {
    const url = `${env.CDN_BASE_URL}/processed/acme/films/clip-${index}.mp4`;
    checksum += getSignedUrl({ url, keyPairId: env.CDN_KEY_PAIR_ID, privateKey, dateLessThan, algorithm: "SHA256" }).length;
  }
  return checksum;
}

/** The query of `benchRewritePlaylist`. */
const QUERY = `Policy=${"p".repeat(240)}&Signature=${"s".repeat(96)}&Key-Pair-Id=K2JCJMDEHXQW5F&Hash-Algorithm=SHA256`;

function rewritePlaylist(count, env) {
  const source = `${env.CDN_BASE_URL}/processed/acme/films/clip.mp4.hls/g1-a1/720p/video.m3u8`;
  let checksum = 0;
  for (let index = 0; index < count; index += 1) {
    checksum += rewrite(PLAYLIST, source, "https://api.example/play", env.CDN_BASE_URL, QUERY).length;
  }
  return checksum;
}

export default perform({
  presign,
  "rewrite-playlist": rewritePlaylist,
  "sign-ecdsa": (count, env) => sign(count, env, env.CDN_ECDSA_KEY),
  "sign-rsa": (count, env) => sign(count, env, env.CDN_RSA_KEY),
});

// What a careful JavaScript developer would write for `POST /upload-url` and `POST /playback-url` with the usual
// packages: the same look-up of the API key, the same checks of what comes in, the same record handed to the same
// journal, the same fields and headers in the answer.
//
// It does less than the edge, never more: no rate limit, no Idempotency-Key, no uploads in parts, no CORS, no other
// calls, and of several mistakes it tells the first.
import { AwsClient } from "aws4fetch";
import { getSignedUrl } from "@aws-sdk/cloudfront-signer";
import { withBindings } from "./bindings.mjs";
import { hashOf, isApiKey } from "./peer/api-key.mjs";
import { checkKey, rest } from "./peer/object-key.mjs";
import { base32, sha256 } from "./peer/digest.mjs";
import { Refused, readJson, seconds, text } from "./peer/input.mjs";

const UPLOAD_SECONDS = 15 * 60;
const PLAYBACK_SECONDS = 60 * 60;
const WEEK = 7 * 24 * 60 * 60;
const MAX_PUT_BYTES = 5 * 1024 ** 3;
/** How long a tenant's record counts as fresh, in milliseconds. */
const FRESH = 10_000;

const tenants = new Map();
let s3;

async function tenantOf(apiKey, env, now) {
  if (!apiKey) throw new Refused(401, "x-api-key is missing");
  if (!isApiKey(apiKey)) throw new Refused(401, "x-api-key is not an API key");
  const hash = hashOf(apiKey);
  let known = tenants.get(hash);
  if (known === undefined || known.freshUntil <= now) {
    const tenant = await env.TENANTS.get(`k:${hash}`, "json");
    if (tenant === null) throw new Refused(401, "x-api-key is not known");
    known = { tenant, expiresAt: tenant.expiresAt && Date.parse(tenant.expiresAt), freshUntil: now + FRESH };
    tenants.set(hash, known);
  }
  const { tenant, expiresAt } = known;
  if (tenant.revoked) throw new Refused(401, "x-api-key was revoked");
  if (expiresAt !== undefined && expiresAt <= now) throw new Refused(401, "x-api-key has expired");
  if (tenant.suspended) throw new Refused(403, "the project is suspended");
  return tenant;
}

function allow(tenant, scope) {
  if (!tenant.scopes.includes(scope) && !tenant.scopes.includes("admin")) {
    throw new Refused(403, `the API key has no scope ${scope}`);
  }
}

function record(env, stream, grantId, at, type, data) {
  const commit = { id: `cmt_${grantId.slice(4)}`, recordedAt: at, events: [{ type, v: 1, at, data }] };
  return env.GRANTS.send({ stream, commit });
}

async function upload(request, tenant, env, now, random) {
  const asked = await readJson(request, ["filename", "path", "contentType", "size", "sha256", "overwrite", "metadata", "expiresIn"]);
  const filename = text(asked, "filename");
  if (filename === undefined) throw new Refused(400, "filename is missing");
  const s3Key = `projects/${tenant.projectId}/${rest(text(asked, "path") ?? "", filename)}`;
  checkKey(s3Key);
  const contentType = text(asked, "contentType");
  if (contentType !== undefined && !/^[!#$&^_.+\w-]{1,127}\/[!#$&^_.+\w-]{1,127}(;[ -~]*)?$/.test(contentType)) {
    throw new Refused(400, "contentType must be a media type");
  }
  const { size, sha256: digest, overwrite = true, metadata = {} } = asked;
  if (size !== undefined && !(Number.isSafeInteger(size) && size >= 0 && size <= MAX_PUT_BYTES)) {
    throw new Refused(400, `size must be a whole number up to ${MAX_PUT_BYTES}`);
  }
  if (digest !== undefined && !/^[A-Za-z0-9+/]{43}=$/.test(digest)) throw new Refused(400, "sha256 must be a SHA-256 in base64");
  if (typeof overwrite !== "boolean") throw new Refused(400, "overwrite must be true or false");
  for (const [name, value] of Object.entries(metadata)) {
    if (!/^[a-z0-9-]{1,64}$/.test(name) || typeof value !== "string" || value.length > 1024) {
      throw new Refused(400, `metadata.${name} is not a name and a text`);
    }
  }
  const expiresIn = seconds(asked, "expiresIn", UPLOAD_SECONDS, WEEK);

  const at = new Date(now).toISOString();
  const expiresAt = new Date((Math.floor(now / 1000) + expiresIn) * 1000).toISOString();
  const grantId = `grt_${base32(random.subarray(16))}`;
  const videoId = `vid_${base32(sha256(`${tenant.projectId}\0${s3Key}`))}`;
  const granted = { grantId, s3Key, expiresAt, keyId: tenant.keyId, contentType, size, sha256: digest, overwrite, metadata };
  await record(env, `video/${tenant.projectId}/${videoId}`, grantId, at, "upload.granted", granted);

  const headers = {};
  if (size !== undefined) headers["content-length"] = String(size);
  if (contentType !== undefined) headers["content-type"] = contentType;
  if (!overwrite) headers["if-none-match"] = "*";
  if (digest !== undefined) headers["x-amz-checksum-sha256"] = digest;
  s3 ??= new AwsClient({
    accessKeyId: env.S3_ACCESS_KEY_ID,
    secretAccessKey: env.S3_SECRET_ACCESS_KEY,
    service: "s3",
    region: env.S3_REGION,
  });
  const path = s3Key.split("/").map(encodeURIComponent).join("/");
  const url = `${env.S3_ENDPOINT}/${env.S3_RAW_BUCKET}/${path}?X-Amz-Expires=${expiresIn}`;
  const signed = await s3.sign(url, { method: "PUT", headers, aws: { signQuery: true, allHeaders: true } });
  return { uploadUrl: signed.url, method: "PUT", headers, s3Key, expiresAt, videoId, grantId };
}

async function playback(request, url, tenant, env, now, random) {
  const key = url.searchParams.get("key");
  if (key === null || !key.startsWith(`processed/${tenant.projectId}/`)) {
    throw new Refused(400, "key is not a key of this project");
  }
  checkKey(key);
  const asked = await readJson(request, ["ttl"]);
  const ttl = seconds(asked, "ttl", PLAYBACK_SECONDS, WEEK);

  const at = new Date(now).toISOString();
  const expiresAt = new Date((Math.floor(now / 1000) + ttl) * 1000).toISOString();
  const grantId = `grt_${base32(random.subarray(16))}`;
  const hour = at.slice(0, 13).replace(/[-T]/g, "");
  const granted = { grantId, resource: key, key, expiresAt, keyId: tenant.keyId };
  await record(env, `grants/${tenant.projectId}/${hour}/${random[16] % 16}`, grantId, at, "playback.granted", granted);

  const signedUrl = getSignedUrl({
    url: `${env.CDN_BASE_URL}/${key.split("/").map(encodeURIComponent).join("/")}`,
    keyPairId: env.CDN_KEY_PAIR_ID,
    privateKey: env.CDN_PRIVATE_KEY,
    dateLessThan: expiresAt,
    algorithm: "SHA256",
  });
  return { signedUrl, expiresAt, grantId };
}

async function answer(request, env, now, random) {
  const url = new URL(request.url);
  const tenant = await tenantOf(request.headers.get("x-api-key"), env, now);
  if (request.method === "POST" && url.pathname === "/upload-url") {
    allow(tenant, "upload");
    return upload(request, tenant, env, now, random);
  }
  if (request.method === "POST" && url.pathname === "/playback-url") {
    allow(tenant, "playback");
    return playback(request, url, tenant, env, now, random);
  }
  throw new Refused(404, "there is no such call");
}

const worker = {
  async fetch(request, env) {
    const random = crypto.getRandomValues(new Uint8Array(32));
    const headers = {
      "content-type": "application/json",
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "x-request-id": request.headers.get("x-request-id") ?? `req_${base32(random.subarray(0, 16))}`,
    };
    try {
      return new Response(JSON.stringify(await answer(request, env, Date.now(), random)), { headers });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      headers["content-type"] = "application/problem+json";
      const problem = { title: "Refused", status: error.status, detail: error.message, requestId: headers["x-request-id"] };
      return new Response(JSON.stringify(problem), { status: error.status, headers });
    }
  },
};

export default withBindings(worker);

// An implementation of `POST /upload-url`, `POST /playback-url` and `GET /play/…` in JavaScript with the usual npm packages. It looks up the API
// key, validates the input and sends the record to the queue as the edge does, and its responses have the same fields and
// headers.
//
// It omits some work of the edge and adds none: it has no rate limit, no Idempotency-Key, no multipart uploads, no CORS and no other
// calls, and it reports only the first of several errors.
import { AwsClient } from "aws4fetch";
import { getSignedUrl } from "@aws-sdk/cloudfront-signer";
import { withBindings } from "./bindings.mjs";
import { hashOf, isApiKey } from "./peer/api-key.mjs";
import { checkKey, joinPath, normalized } from "./peer/object-key.mjs";
import { base32, sha256 } from "./peer/digest.mjs";
import { HttpError, readJson, seconds, text } from "./peer/input.mjs";
import { playlist } from "./peer/playlist.mjs";

const UPLOAD_SECONDS = 15 * 60;
const PLAYBACK_SECONDS = 60 * 60;
const WEEK = 7 * 24 * 60 * 60;
const MAX_PUT_BYTES = 5 * 1024 ** 3;
/** How long a tenant's record is cached, in milliseconds. */
const CACHE_MILLISECONDS = 10_000;

const tenants = new Map();
let s3;

/** Returns the tenant of an API key, from the cache or the key-value store. */
async function findTenant(apiKey, env, now) {
  if (!apiKey) throw new HttpError(401, "x-api-key is missing");
  if (!isApiKey(apiKey)) throw new HttpError(401, "x-api-key is not an API key");
  const hash = hashOf(apiKey);
  let cached = tenants.get(hash);
  if (cached === undefined || cached.freshUntil <= now) {
    const tenant = await env.TENANTS.get(`k:${hash}`, "json");
    if (tenant === null) throw new HttpError(401, "x-api-key is not known");
    cached = { tenant, expiresAt: tenant.expiresAt && Date.parse(tenant.expiresAt), freshUntil: now + CACHE_MILLISECONDS };
    tenants.set(hash, cached);
  }
  const { tenant, expiresAt } = cached;
  if (tenant.revoked) throw new HttpError(401, "x-api-key was revoked");
  if (expiresAt !== undefined && expiresAt <= now) throw new HttpError(401, "x-api-key has expired");
  if (tenant.suspended) throw new HttpError(403, "the project is suspended");
  return tenant;
}

function requireScope(tenant, scope) {
  if (!tenant.scopes.includes(scope) && !tenant.scopes.includes("admin")) {
    throw new HttpError(403, `the API key has no scope ${scope}`);
  }
}

function record(env, stream, grantId, at, type, data) {
  const commit = { id: `cmt_${grantId.slice(4)}`, recordedAt: at, events: [{ type, v: 1, at, data }] };
  return env.GRANTS.send({ stream, commit });
}

async function upload(request, tenant, env, now, random) {
  const fields = await readJson(request, ["filename", "path", "contentType", "size", "sha256", "overwrite", "metadata", "expiresIn"]);
  const filename = text(fields, "filename");
  if (filename === undefined) throw new HttpError(400, "filename is missing");
  const s3Key = `projects/${tenant.projectId}/${joinPath(text(fields, "path") ?? "", filename)}`;
  checkKey(s3Key);
  const contentType = text(fields, "contentType");
  if (contentType !== undefined && !/^[!#$&^_.+\w-]{1,127}\/[!#$&^_.+\w-]{1,127}(;[ -~]*)?$/.test(contentType)) {
    throw new HttpError(400, "contentType must be a media type");
  }
  const { size, sha256: digest, overwrite, metadata = {} } = fields;
  if (size !== undefined && !(Number.isSafeInteger(size) && size >= 0 && size <= MAX_PUT_BYTES)) {
    throw new HttpError(400, `size must be a whole number up to ${MAX_PUT_BYTES}`);
  }
  if (digest !== undefined && !/^[A-Za-z0-9+/]{43}=$/.test(digest)) throw new HttpError(400, "sha256 must be a SHA-256 in base64");
  if (overwrite !== undefined && typeof overwrite !== "boolean") throw new HttpError(400, "overwrite must be true or false");
  for (const [name, value] of Object.entries(metadata)) {
    if (!/^[a-z0-9-]{1,64}$/.test(name) || typeof value !== "string" || value.length > 1024) {
      throw new HttpError(400, `metadata.${name} must have a valid name and a text of at most 1024 characters`);
    }
  }
  const expiresIn = seconds(fields, "expiresIn", UPLOAD_SECONDS, WEEK);

  const at = new Date(now).toISOString();
  const expiresAt = new Date((Math.floor(now / 1000) + expiresIn) * 1000).toISOString();
  const grantId = `grt_${base32(random.subarray(16))}`;
  const videoId = `vid_${base32(sha256(`${tenant.projectId}\0${s3Key}`))}`;
  const granted = { grantId, s3Key, expiresAt, keyId: tenant.keyId, contentType, size, sha256: digest, overwrite: overwrite ?? false, metadata };
  await record(env, `video/${tenant.projectId}/${videoId}`, grantId, at, "upload.granted", granted);

  const headers = {};
  if (contentType !== undefined) headers["content-type"] = contentType;
  if (overwrite === false) headers["if-none-match"] = "*";
  if (digest !== undefined) headers["x-amz-checksum-sha256"] = digest;
  s3 ??= new AwsClient({
    accessKeyId: env.S3_ACCESS_KEY_ID,
    secretAccessKey: env.S3_SECRET_ACCESS_KEY,
    service: "s3",
    region: env.S3_REGION,
  });
  const path = s3Key.split("/").map(encodeURIComponent).join("/");
  const url = `${env.S3_ENDPOINT}/${env.S3_RAW_BUCKET}/${path}?X-Amz-Expires=${expiresIn}`;
  const length = size === undefined ? {} : { "content-length": String(size) };
  const signed = await s3.sign(url, { method: "PUT", headers: { ...length, ...headers }, aws: { signQuery: true, allHeaders: true } });
  return { uploadUrl: signed.url, method: "PUT", headers, s3Key, expiresAt, videoId, grantId };
}

async function playback(request, url, tenant, env, now, random) {
  const key = normalized(url.searchParams.get("key") ?? "");
  if (!key.startsWith(`processed/${tenant.projectId}/`)) {
    throw new HttpError(400, "key is not a key of this project");
  }
  checkKey(key);
  const fields = await readJson(request, ["ttl"]);
  const ttl = seconds(fields, "ttl", PLAYBACK_SECONDS, WEEK);

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

async function handle(request, env, now, random) {
  const url = new URL(request.url);
  const tenant = await findTenant(request.headers.get("x-api-key"), env, now);
  if (request.method === "POST" && url.pathname === "/upload-url") {
    requireScope(tenant, "upload");
    return upload(request, tenant, env, now, random);
  }
  if (request.method === "POST" && url.pathname === "/playback-url") {
    requireScope(tenant, "playback");
    return playback(request, url, tenant, env, now, random);
  }
  throw new HttpError(404, "there is no such call");
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
      if (request.method === "GET" && request.url.includes("/play/")) {
        const { text, headers: own } = await playlist(new URL(request.url), env);
        return new Response(text, { headers: { ...headers, ...own } });
      }
      return new Response(JSON.stringify(await handle(request, env, Date.now(), random)), { headers });
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      headers["content-type"] = "application/problem+json";
      const problem = { title: "Refused", status: error.status, detail: error.message, requestId: headers["x-request-id"] };
      return new Response(JSON.stringify(problem), { status: error.status, headers });
    }
  },
};

export default withBindings(worker);

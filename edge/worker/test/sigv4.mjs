// A verifier of AWS Signature Version 4, with which the fakes refuse requests that are not signed or signed incorrectly.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
import { createHash, createHmac, timingSafeEqual } from "node:crypto";

const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const hmac = (key, text) => createHmac("sha256", key).update(text).digest();
const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (it) => `%${it.charCodeAt(0).toString(16).toUpperCase()}`);

/** The maximum difference between a signature's time and now, as for AWS, in milliseconds. */
const MAX_SKEW = 5 * 60 * 1000;

/** Returns why the signature in a request's headers is invalid, or `undefined` if it is valid. */
export function signatureError({ method, url, headers, body }, { region, service, accessKeyId, secretAccessKey }, now = Date.now()) {
  const parsed =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? "",
    );
  if (parsed === null) return "there is no signature in the headers";
  const [, id, day, ofRegion, ofService, names, signature] = parsed;
  if (id !== accessKeyId) return "the access key is wrong";
  if (ofRegion !== region || ofService !== service) return `the scope is ${ofRegion}/${ofService} instead of ${region}/${service}`;
  const date = headers["x-amz-date"] ?? "";
  if (!/^\d{8}T\d{6}Z$/.test(date) || !date.startsWith(day)) return "the date is missing or is not that of the scope";
  if (Math.abs(timeOf(date) - now) > MAX_SKEW) return "the date is too far from now";
  const signed = names.split(";");
  for (const name of Object.keys(headers)) {
    const required = name === "host" || name === "content-type" || name.startsWith("x-amz-");
    if (required && !signed.includes(name)) return `the header ${name} is not signed`;
  }
  const hash = sha256(body);
  const declared = headers["x-amz-content-sha256"];
  if (declared !== undefined && declared !== hash) return "the body does not match its hash";
  const expected = signatureOf({ method, url, headers, signed, hash, date, region, service, secretAccessKey });
  return equal(signature, expected) ? undefined : "the signature does not match";
}

/** Returns why a presigned URL of S3 is invalid for a request with these headers and any body, or `undefined` if it is valid. */
export function urlSignatureError({ method, url, headers }, { region, accessKeyId, secretAccessKey }, now = Date.now()) {
  const query = new URL(url, "http://unused").searchParams;
  const signature = query.get("X-Amz-Signature");
  const date = query.get("X-Amz-Date") ?? "";
  if (query.get("X-Amz-Algorithm") !== "AWS4-HMAC-SHA256" || signature === null) return "there is no signature in the query";
  if (query.get("X-Amz-Credential") !== `${accessKeyId}/${date.slice(0, 8)}/${region}/s3/aws4_request`) return "the scope is wrong";
  if (now > timeOf(date) + Number(query.get("X-Amz-Expires")) * 1000 || timeOf(date) > now + MAX_SKEW) return "the URL has expired or is not valid yet";
  const signed = query.get("X-Amz-SignedHeaders").split(";");
  if (!signed.includes("host")) return "the host is not signed";
  const unsigned = url.replace(/([?&])X-Amz-Signature=[0-9a-f]+&?/, "$1").replace(/[?&]$/, "");
  const hash = "UNSIGNED-PAYLOAD";
  const expected = signatureOf({ method, url: unsigned, headers, signed, hash, date, region, service: "s3", secretAccessKey });
  return equal(signature, expected) ? undefined : "the signature does not match";
}

function signatureOf({ method, url, headers, signed, hash, date, region, service, secretAccessKey }) {
  const at = url.indexOf("?");
  const [path, query] = at === -1 ? [url, ""] : [url.slice(0, at), url.slice(at + 1)];
  const pairs = query
    .split("&")
    .filter((pair) => pair !== "")
    .map((pair) => {
      const [name, value = ""] = pair.split("=");
      return [encode(decodeURIComponent(name)), encode(decodeURIComponent(value))];
    })
    .sort((one, other) => (one.join("=") < other.join("=") ? -1 : 1));
  const canonical = [
    method,
    path,
    pairs.map((pair) => pair.join("=")).join("&"),
    ...signed.map((name) => `${name}:${String(headers[name] ?? "").trim().replace(/ +/g, " ")}`),
    "",
    signed.join(";"),
    hash,
  ].join("\n");
  const day = date.slice(0, 8);
  const text = ["AWS4-HMAC-SHA256", date, `${day}/${region}/${service}/aws4_request`, sha256(canonical)].join("\n");
  const key = [day, region, service, "aws4_request"].reduce(hmac, `AWS4${secretAccessKey}`);
  return hmac(key, text).toString("hex");
}

const equal = (one, other) => one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));

const timeOf = (date) => Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));

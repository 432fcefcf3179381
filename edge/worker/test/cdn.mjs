// A fake CDN: it accepts GET requests whose query has a valid signature, as CloudFront does.
import { createVerify } from "node:crypto";
import { listen } from "./listener.mjs";

const decode = (text) => Buffer.from(text.replaceAll("-", "+").replaceAll("_", "=").replaceAll("~", "/"), "base64");
/** The policy that CloudFront builds from a URL and its expiry. */
const cannedPolicy = (Resource, seconds) => JSON.stringify({ Statement: [{ Resource, Condition: { DateLessThan: { "AWS:EpochTime": seconds } } }] });
const refusal = (code, message) => ({
  status: 403,
  headers: { "content-type": "text/xml", server: "CloudFront" },
  body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`,
});

/**
 * Starts a CDN. `files` holds the bodies by path, `requests` the paths and queries, `publicKey` must be set before the first request.
 * `next` is the next response in place of the usual one.
 */
export async function startCdn() {
  const cdn = { files: new Map(), requests: [], publicKey: undefined, next: undefined, headers: {} };
  const listener = await listen((request) => {
    cdn.requests.push(request.url);
    if (cdn.next !== undefined) {
      const next = cdn.next;
      cdn.next = undefined;
      return next;
    }
    if (request.method !== "GET") return { status: 405 };
    const url = new URL(request.url, listener.url);
    const { Policy: policy, Expires: expires, Signature: signature, "Key-Pair-Id": keyPairId } = Object.fromEntries(url.searchParams);
    if (!keyPairId) return refusal("MissingKey", "Missing Key-Pair-Id query parameter or cookie value");
    if (!(policy || expires) || !signature) return refusal("MissingPolicy", "Missing Policy or Expires query parameter or cookie value");
    const text = policy ? decode(policy) : Buffer.from(cannedPolicy(`${listener.url}${url.pathname}`, Number(expires)));
    if (!createVerify("sha256").update(text).verify(cdn.publicKey, decode(signature))) return refusal("AccessDenied", "Access denied");
    const [{ Resource, Condition }] = JSON.parse(text).Statement;
    const pattern = new RegExp(`^${Resource.split("*").map((part) => part.replace(/[.?+()[\]{}|^$\\]/g, "\\$&")).join(".*")}$`);
    const network = Condition.IpAddress?.["AWS:SourceIp"];
    // The resource has the query without the CDN's own parameters, and `*` matches the `?` too.
    const own = ["Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"];
    const rest = url.search.slice(1).split("&").filter((pair) => !own.includes(pair.split("=")[0])).join("&");
    if (!pattern.test(`${listener.url}${url.pathname}${rest && "?"}${rest}`)) return refusal("AccessDenied", "Access denied");
    if (Date.now() / 1000 >= Condition.DateLessThan["AWS:EpochTime"]) return refusal("AccessDenied", "Access denied");
    if (network !== undefined && network !== "127.0.0.1/32") return refusal("AccessDenied", "Access denied");
    const file = cdn.files.get(url.pathname);
    if (file === undefined) return { status: 404, body: "<Error><Code>NoSuchKey</Code></Error>" };
    const length = { "content-length": Buffer.byteLength(file) };
    return { headers: { "content-type": "application/vnd.apple.mpegurl", ...length, ...cdn.headers }, body: file };
  });
  return Object.assign(cdn, { url: listener.url, errors: listener.errors, close: listener.close });
}

// Tests of the package: compares it with AWS's signer for CloudFront, aws4fetch for S3, and the crypto module of Node.js.
import assert from "node:assert/strict";
import { createHash, createHmac, createVerify, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { getSignedCookies, getSignedUrl } from "@aws-sdk/cloudfront-signer";
import { AwsClient } from "aws4fetch";
import { presignPut, signPlayback, verifyPlayback } from "@streamio/signer";

const pem = {
  publicKeyEncoding: { type: "spki", format: "pem" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
};
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048, ...pem });
const ec = generateKeyPairSync("ec", { namedCurve: "P-256", ...pem });
const ID = "K2JCJMDEHXQW5F";
const FILE = "https://d111111abcdef8.cloudfront.net/processed/acme/films/clip.mp4";
const FOLDER = `${FILE}.hls/*`;
const START = 1767323045;
const END = START + 3600;
const at = (seconds) => new Date(seconds * 1000).toISOString();
const decoded = (text) => Buffer.from(text.replaceAll("-", "+").replaceAll("_", "=").replaceAll("~", "/"), "base64");

const upload = {
  endpoint: "https://s3.eu-west-1.amazonaws.com",
  region: "eu-west-1",
  bucket: "streamio-raw",
  key: "projects/acme/Über den Wolken (1)+.mov",
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
  expiresIn: 900,
  now: START,
};

/** Presigns the same upload with aws4fetch, and returns the query parameters by name. */
async function byAws4fetch({ url, headers, sessionToken }) {
  const { accessKeyId, secretAccessKey, region } = upload;
  const client = new AwsClient({ accessKeyId, secretAccessKey, sessionToken, region, service: "s3" });
  const target = new URL(url);
  target.search = "";
  target.searchParams.set("X-Amz-Expires", "900");
  const datetime = new Date(START * 1000).toISOString().replace(/[:-]|\.\d{3}/g, "");
  const signed = await client.sign(target, { method: "PUT", headers, aws: { signQuery: true, datetime, allHeaders: true } });
  return Object.fromEntries(new URL(signed.url).searchParams);
}

for (const [name, changes] of Object.entries({
  "a plain upload": {},
  "an upload with headers": { headers: { "Content-Type": "video/quicktime", "if-none-match": "*" } },
  "an upload with temporary credentials": { sessionToken: "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQD+=" },
  "an upload to a local server": { endpoint: "http://127.0.0.1:9000/base", pathStyle: true },
})) {
  test(`${name} has the same presigned parameters as with aws4fetch`, async () => {
    const { url, headers } = presignPut({ ...upload, ...changes });
    assert.deepEqual(headers, changes.headers ?? {});
    const ours = Object.fromEntries(new URL(url).searchParams);
    assert.deepEqual(ours, await byAws4fetch({ url, headers, sessionToken: changes.sessionToken }));
    const place = changes.pathStyle
      ? "http://127.0.0.1:9000/base/streamio-raw/"
      : "https://streamio-raw.s3.eu-west-1.amazonaws.com/";
    assert.ok(url.startsWith(`${place}projects/acme/%C3%9Cber%20den%20Wolken%20%281%29%2B.mov?X-Amz-Algorithm=`), url);
  });
}

test("a presigned upload's signature is the HMAC that AWS documents", () => {
  const { url } = presignPut({ ...upload, key: "a" });
  const [address, query] = url.split("?");
  const [parameters, signature] = query.split("&X-Amz-Signature=");
  const hmac = (key, text) => createHmac("sha256", key).update(text).digest();
  const request = `PUT\n${new URL(address).pathname}\n${parameters}\nhost:${new URL(address).host}\n\nhost\nUNSIGNED-PAYLOAD`;
  const scope = ["20260102", "eu-west-1", "s3", "aws4_request"];
  const text = ["AWS4-HMAC-SHA256", "20260102T030405Z", scope.join("/"), createHash("sha256").update(request).digest("hex")];
  const key = scope.reduce(hmac, `AWS4${upload.secretAccessKey}`);
  assert.equal(signature, hmac(key, text.join("\n")).toString("hex"));
});

for (const [name, { url = FILE, resource, theirs = {}, ours = {} }] of Object.entries({
  "one file": {},
  "one file with a query": { url: `${FILE}?size=large&a=b` },
  "a file with a start time and a network": {
    theirs: { dateGreaterThan: at(START), ipAddress: "203.0.113.0/24" },
    ours: { startsAt: new Date(START * 1000), ip: "203.0.113.0/24" },
  },
  "a stream": { url: `${FILE}.hls/master.m3u8`, resource: FOLDER },
})) {
  for (const hash of ["SHA1", "SHA256"]) {
    const options = { url, keyPairId: ID, expiresAt: new Date(END * 1000), hash, ...ours, ...(resource && { resource }) };
    const policy = JSON.stringify({ Statement: [{ Resource: resource, Condition: { DateLessThan: { "AWS:EpochTime": END } } }] });
    const conditions = resource ? { policy } : { dateLessThan: at(END), ...theirs };
    const byAws = { url, keyPairId: ID, algorithm: hash, ...conditions };
    const viewer = { now: START + 1, ip: "203.0.113.7" };

    test(`${name} signed with RSA and ${hash} equals the result of AWS's signer`, () => {
      const signed = signPlayback({ ...options, privateKey: rsa.privateKey });
      const theirs = new URL(getSignedUrl({ ...byAws, privateKey: rsa.privateKey }));
      // AWS's signer for Node writes the id before the signature; AWS's documentation and its other signers after it.
      assert.deepEqual(Object.fromEntries(new URL(signed.url).searchParams), Object.fromEntries(theirs.searchParams));
      assert.equal(signed.url, `${url}${url.includes("?") ? "&" : "?"}${signed.query}`);
      const cookies = getSignedCookies({ ...byAws, privateKey: rsa.privateKey });
      assert.deepEqual(signed.cookies, Object.fromEntries(Object.entries(cookies).map(([key, value]) => [key, String(value)])));
    });

    test(`${name} signed with ECDSA and ${hash} is verified by OpenSSL, and AWS's signature by the package`, () => {
      const signed = signPlayback({ ...options, privateKey: ec.privateKey });
      const parameters = new URL(signed.url).searchParams;
      const canned = `{"Statement":[{"Resource":"${url}","Condition":{"DateLessThan":{"AWS:EpochTime":${END}}}}]}`;
      const text = parameters.has("Policy") ? decoded(parameters.get("Policy")) : canned;
      const verifier = () => createVerify(hash).update(text);
      assert.ok(verifier().verify(ec.publicKey, decoded(parameters.get("Signature"))));
      assert.ok(!verifier().update(" ").verify(ec.publicKey, decoded(parameters.get("Signature"))));

      const theirs = getSignedUrl({ ...byAws, privateKey: ec.privateKey });
      for (const url of [signed.url, theirs]) {
        const result = verifyPlayback({ url, publicKey: ec.publicKey, ...viewer });
        assert.equal(result.valid, true, JSON.stringify(result));
        assert.deepEqual([result.keyPairId, result.hash, result.expiresAt], [ID, hash, END]);
      }
    });

    test(`${name} signed with RSA and ${hash} is valid for its key, time and network only`, () => {
      const { url } = signPlayback({ ...options, privateKey: rsa.privateKey });
      const keys = { other: ec.publicKey, [ID]: rsa.publicKey };
      const reason = (changes) => verifyPlayback({ url, keys, ...viewer, ...changes }).reason;
      assert.equal(reason({}), undefined);
      assert.equal(reason({ now: new Date(END * 1000) }), "expired");
      assert.equal(reason({ url: url.replace(ID, "other") }), "bad-signature");
      assert.equal(reason({ url: url.replace(ID, "unknown") }), "unknown-key-pair");
      assert.equal(reason({ url: url.split("?")[0] }), "not-signed");
      if (ours.ip) {
        assert.equal(reason({ now: START - 1 }), "not-yet-valid");
        assert.equal(reason({ ip: "198.51.100.1" }), "other-address");
        assert.equal(reason({ ip: undefined }), "address-needed");
      }
    });
  }
}

test("one signature is valid for all files of a stream, and for no other", () => {
  const options = { resource: FOLDER, keyPairId: ID, privateKey: ec.privateKey, expiresAt: END };
  const signed = signPlayback(options);
  assert.equal(signed.url, undefined);
  const result = (url) => verifyPlayback({ url: `${url}?${signed.query}`, publicKey: ec.publicKey, now: START });
  assert.equal(result(`${FILE}.hls/g1-a1/0001.m4s`).valid, true);
  assert.equal(result(FILE).reason, "not-covered");
});

test("the default time is the current time", () => {
  const { now, ...rest } = upload;
  const written = new URL(presignPut(rest).url).searchParams.get("X-Amz-Date");
  const moment = Date.parse(written.replace(/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/, "$1-$2-$3T$4:$5:$6Z"));
  assert.ok(Math.abs(moment - Date.now()) < 60_000, written);
  const until = (expiresAt) => {
    const { url } = signPlayback({ url: FILE, keyPairId: ID, privateKey: ec.privateKey, expiresAt });
    return verifyPlayback({ url, publicKey: ec.publicKey });
  };
  assert.equal(until(new Date(Date.now() + 60_000)).valid, true);
  assert.equal(until(new Date(Date.now() - 60_000)).reason, "expired");
});

test("invalid options are a TypeError that names an option and no value", () => {
  const file = { url: FILE, keyPairId: ID, privateKey: ec.privateKey, expiresAt: END };
  const link = { url: FILE, publicKey: ec.publicKey };
  const secret = "a-secret-in-the-wrong-place";
  for (const [call, options, option] of [
    [presignPut, { ...upload, bucket: undefined }, "bucket"],
    [presignPut, { ...upload, expiresIn: "900" }, "expiresIn"],
    [presignPut, { ...upload, expiresin: 900 }, "expiresin"],
    [presignPut, { ...upload, accessKeyId: `${secret}/` }, "accessKeyId"],
    [presignPut, { ...upload, endpoint: secret }, "endpoint"],
    [presignPut, { ...upload, now: new Date(NaN) }, "now"],
    [presignPut, { ...upload, now: Date.now() }, "now"],
    [signPlayback, { ...file, privateKey: secret }, "privateKey"],
    [signPlayback, { ...file, privateKey: ec.publicKey }, "privateKey"],
    [signPlayback, { ...file, privateKey: Buffer.from(ec.privateKey) }, "privateKey"],
    [signPlayback, { ...file, keyPairId: ec.privateKey }, "keyPairId"],
    [signPlayback, { ...file, url: ec.privateKey }, "url"],
    [signPlayback, { ...file, hash: "MD5" }, "hash"],
    [signPlayback, { ...file, url: undefined }, "url"],
    [signPlayback, { ...file, resource: "https://elsewhere.example/*" }, "url"],
    [verifyPlayback, { ...link, publicKey: ec.privateKey }, "publicKey"],
    [verifyPlayback, { ...link, keys: {} }, "publicKey"],
    [verifyPlayback, { ...link, ip: "localhost" }, "ip"],
  ]) {
    const named = (error) => {
      assert.ok(error instanceof TypeError && error.message.includes(`\`${option}\``), `${option}: ${error}`);
      for (const hidden of [secret, ec.privateKey.slice(60, 90), upload.secretAccessKey]) {
        assert.ok(!String(error.stack).includes(hidden), `${option}: ${error}`);
      }
      return true;
    };
    assert.throws(() => call(options), named);
  }
  for (const options of [undefined, null, "text", 1]) {
    for (const call of [presignPut, signPlayback, verifyPlayback]) {
      assert.throws(() => call(options), TypeError);
    }
  }
});

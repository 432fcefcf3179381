// The verifier of the other tests accepts AWS's examples and refuses changed requests.
import assert from "node:assert/strict";
import { test } from "node:test";
import { signatureError, urlSignatureError } from "./sigv4.mjs";

const keys = {
  region: "us-east-1",
  service: "service",
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
};
const NOW = Date.parse("2015-08-30T12:36:00Z");

/** `get-vanilla` of AWS's test suite for Signature Version 4. */
const vanilla = () => ({
  method: "GET",
  url: "/",
  headers: {
    host: "example.amazonaws.com",
    "x-amz-date": "20150830T123600Z",
    authorization:
      "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
  },
  body: "",
});

test("the verifier accepts the request of AWS's test suite", () => {
  assert.equal(signatureError(vanilla(), keys, NOW), undefined);
});

test("the verifier refuses every change of a signed request", () => {
  const changes = {
    "another method": (request) => (request.method = "POST"),
    "another path": (request) => (request.url = "/a"),
    "a query": (request) => (request.url = "/?a=b"),
    "a body": (request) => (request.body = "a"),
    "another host": (request) => (request.headers.host = "example.com"),
    "no signature": (request) => delete request.headers.authorization,
    "an unsigned header of AWS": (request) => (request.headers["x-amz-target"] = "A.B"),
    "another date": (request) => (request.headers["x-amz-date"] = "20150830T123601Z"),
  };
  for (const [name, change] of Object.entries(changes)) {
    const request = vanilla();
    change(request);
    assert.ok(signatureError(request, keys, NOW), name);
  }
  assert.ok(signatureError(vanilla(), keys, NOW + 6 * 60 * 1000), "an old request");
  assert.ok(signatureError(vanilla(), { ...keys, secretAccessKey: "another" }, NOW), "another secret");
  assert.ok(signatureError(vanilla(), { ...keys, service: "kinesis" }, NOW), "another service");
});

/** The presigned GET of S3's documentation. */
const presigned = {
  method: "GET",
  url: "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
  headers: { host: "examplebucket.s3.amazonaws.com" },
};
const bucketKeys = { region: "us-east-1", accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };

test("the verifier accepts the signed URL of S3's documentation and refuses changed ones", () => {
  const then = Date.parse("2013-05-24T01:00:00Z");
  assert.equal(urlSignatureError(presigned, bucketKeys, then), undefined);
  assert.ok(urlSignatureError({ ...presigned, method: "PUT" }, bucketKeys, then));
  assert.ok(urlSignatureError({ ...presigned, url: presigned.url.replace("test", "best") }, bucketKeys, then));
  assert.ok(urlSignatureError(presigned, bucketKeys, then + 48 * 3600 * 1000));
});

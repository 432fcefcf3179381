// Processes a batch of requests with AWS's CloudFront signer and OpenSSL. Reads one JSON object from standard input,
// {keys: {privateKey, publicKey, keyPairId}, requests: [{call, with}]}, and writes the list of results.
import { createVerify } from "node:crypto";
import { readFileSync } from "node:fs";
import { getSignedCookies, getSignedUrl } from "@aws-sdk/cloudfront-signer";

const { keys, requests } = JSON.parse(readFileSync(0, "utf8"));

/** Dates are passed as milliseconds. Unused options must be absent, not null. */
function options({ dateLessThan, dateGreaterThan, ...rest }) {
  const all = {
    ...rest,
    dateLessThan: dateLessThan && new Date(dateLessThan).toISOString(),
    dateGreaterThan: dateGreaterThan && new Date(dateGreaterThan).toISOString(),
    privateKey: keys.privateKey,
    keyPairId: keys.keyPairId,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value != null));
}

const calls = {
  getSignedUrl: (request) => getSignedUrl(options(request)),
  getSignedCookies: (request) =>
    Object.fromEntries(Object.entries(getSignedCookies(options(request))).map(([name, value]) => [name, String(value)])),
  verify: ({ message, signature, algorithm }) =>
    createVerify(algorithm).update(message).verify(keys.publicKey, signature, "base64"),
};

process.stdout.write(JSON.stringify(requests.map((request) => calls[request.call](request.with))));

// Secrets that must not be in the output, and the search for them.
import assert from "node:assert/strict";

/** Patterns of secrets: an API key, a private key, a signature in a URL, a cookie or a header. */
const PATTERNS = [
  /sio_[a-z]{2,8}_[0-9A-Za-z]{20,}/,
  /PRIVATE KEY/,
  /X-Amz-Signature/i,
  /X-Amz-Credential/i,
  /[?&;\s"]Signature=/,
  /CloudFront-Signature/i,
  /AWS4-HMAC-SHA256/,
];

/** The secrets of one platform. */
export class Secrets {
  #texts = new Set();

  /** Adds secrets. Values that are not texts of at least 8 characters are ignored. */
  add(...texts) {
    for (const text of texts) if (typeof text === "string" && text.length >= 8) this.#texts.add(text);
  }

  /** Adds each line of a private key. */
  addPem(pem) {
    this.add(...pem.split("\n").filter((line) => line !== "" && !line.startsWith("-----")));
  }

  /** Adds every signature in a response of the API. */
  addResponse(text) {
    for (const [, signature] of text.matchAll(/(?:X-Amz-Signature|Signature|Policy)=([^&"\\\s]+)/g)) this.add(signature);
    for (const [, value] of text.matchAll(/"CloudFront-(?:Signature|Policy)":"([^"]+)"/g)) this.add(value);
  }

  get count() {
    return this.#texts.size;
  }

  /** Fails if `output` contains a secret. The error does not contain the secret. */
  assertAbsent(output) {
    for (const line of output.split("\n")) {
      const pattern = PATTERNS.find((it) => it.test(line));
      assert.equal(pattern, undefined, `a line of the output matches ${pattern}; it begins with ${line.slice(0, 60)}`);
      for (const text of this.#texts) {
        assert.ok(!line.includes(text), `a line of the output contains a secret of ${text.length} characters; it begins with ${line.slice(0, 60)}`);
      }
    }
  }
}

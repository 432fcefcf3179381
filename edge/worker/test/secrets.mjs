// What must never be printed, and the search for it.
import assert from "node:assert/strict";

/** Forms of secrets, whoever made them: an API key, a private key, a signature in a URL, a cookie or a header. */
const FORMS = [
  /sio_[a-z]{2,8}_[0-9A-Za-z]{20,}/,
  /PRIVATE KEY/,
  /X-Amz-Signature/i,
  /X-Amz-Credential/i,
  /[?&;\s"]Signature=/,
  /CloudFront-Signature/i,
  /AWS4-HMAC-SHA256/,
];

export class Secrets {
  #texts = new Set();

  add(...texts) {
    for (const text of texts) if (typeof text === "string" && text.length >= 8) this.#texts.add(text);
  }

  /** Remembers a private key: no line of it may be printed. */
  addPem(pem) {
    this.add(...pem.split("\n").filter((line) => line !== "" && !line.startsWith("-----")));
  }

  /** Remembers every signature in an answer of the API. */
  addAnswer(text) {
    for (const [, signature] of text.matchAll(/(?:X-Amz-Signature|Signature|Policy)=([^&"\\\s]+)/g)) this.add(signature);
    for (const [, value] of text.matchAll(/"CloudFront-(?:Signature|Policy)":"([^"]+)"/g)) this.add(value);
  }

  get count() {
    return this.#texts.size;
  }

  /** Fails when `printed` has a secret in it. The secret itself is not repeated: a test's output is a log too. */
  assertAbsent(printed) {
    for (const line of printed.split("\n")) {
      const form = FORMS.find((it) => it.test(line));
      assert.equal(form, undefined, `a line that was printed has the form ${form}; it begins with ${line.slice(0, 60)}`);
      for (const text of this.#texts) {
        assert.ok(!line.includes(text), `a line that was printed holds a secret of ${text.length} characters; it begins with ${line.slice(0, 60)}`);
      }
    }
  }
}

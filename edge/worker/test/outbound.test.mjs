// What the module receives of a response, with the `fetch` of Node.js.
import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { send } from "../outbound.js";
import { listen } from "./listener.mjs";

const LIMIT = 1000;
const LIMITED_MILLISECONDS = 10_000;

test("responses", async (t) => {
  let answer;
  let received;
  const server = await listen((request) => {
    received = request;
    return answer;
  });
  t.after(server.close);
  const get = (next) => {
    answer = next;
    return send(`GET\n${server.url}/a?b=c`, undefined, LIMITED_MILLISECONDS, LIMIT);
  };
  const withLength = (body, headers = {}) => ({ headers: { "content-length": Buffer.byteLength(body), ...headers }, body });

  await t.test("a request has its method, headers and body, and the response its status and headers", async () => {
    answer = { status: 404, headers: { "x-a": "1, 2", "content-length": 2 }, body: "no" };
    const head = `POST\n${server.url}/home\nx-one\n1\ncontent-type\ntext/a`;
    const [text, body] = await send(head, new TextEncoder().encode("sent"), LIMITED_MILLISECONDS, LIMIT);
    assert.deepEqual([received.method, received.url, String(received.body)], ["POST", "/home", "sent"]);
    assert.deepEqual([received.headers["x-one"], received.headers["content-type"]], ["1", "text/a"]);
    const [status, ...lines] = text.split("\n");
    assert.equal(status, "404");
    assert.equal(lines[lines.indexOf("x-a") + 1], "1, 2");
    assert.equal(Buffer.from(body).toString(), "no");
  });

  await t.test("a body has at most the limit, whether its length is stated or not", async () => {
    for (const state of [withLength, (body) => ({ body })]) {
      assert.equal((await get(state("x".repeat(LIMIT))))[1].length, LIMIT);
      assert.equal((await get(state("x".repeat(LIMIT + 1))))[1], undefined);
      assert.equal((await get(state("")))[1].length, 0);
    }
  });

  await t.test("the length of a compressed body is that after decompression", async () => {
    const compressed = (length) => withLength(gzipSync("x".repeat(length)), { "content-encoding": "gzip" });
    assert.equal((await get(compressed(LIMIT)))[1].length, LIMIT);
    assert.equal((await get(compressed(100 * LIMIT)))[1], undefined);
  });

  await t.test("redirects are not followed, and a response that stops fails", async () => {
    const [head] = await get({ status: 302, headers: { location: "/elsewhere" } });
    assert.equal(head.split("\n")[0], "302");
    answer = { hangs: "in-response" };
    await assert.rejects(send(`GET\n${server.url}/`, undefined, 50, LIMIT), { name: "TimeoutError" });
  });

  assert.deepEqual(server.errors, []);
});

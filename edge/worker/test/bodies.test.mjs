// Requests in the forms that HTTP allows, and in some that it does not.
import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { test } from "node:test";
import { eventually } from "./listener.mjs";
import { assertProblem, startPlatform } from "./platform.mjs";

const LIMIT = 64 * 1024;

test("bodies and methods", async (t) => {
  const platform = await startPlatform(t);
  const made = platform.key();
  const { key } = made;
  await platform.replicate(made);

  await t.test("a body without a length, in chunks, is read as any other", async () => {
    const answer = await chunked(platform, key, ['{"file', 'name":"in-', 'pieces.mp4"', "}"]);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(JSON.parse(answer.text).s3Key, "projects/acme/in-pieces.mp4");
  });

  await t.test("a body of 64 KiB is read, and one byte more is refused", async () => {
    const padded = (bytes) => `{"filename":"film.mp4"}${" ".repeat(bytes - 23)}`;
    const largest = await platform.call("POST", "/upload-url", { key, body: padded(LIMIT) });
    assert.equal(largest.status, 200, largest.text);
    assertProblem(await platform.call("POST", "/upload-url", { key, body: padded(LIMIT + 1) }), 413, "body-too-large");
    const half = LIMIT / 2;
    const whole = padded(LIMIT);
    assert.equal((await chunked(platform, key, [whole.slice(0, half), whole.slice(half)])).status, 200);
    const longer = await chunked(platform, key, [whole, " "]);
    assert.equal(longer.status, 413);
    assert.equal(JSON.parse(longer.text).type, "/problems/body-too-large");
  });

  await t.test("a body of many megabytes is refused and does no harm", async () => {
    const answer = await platform.call("POST", "/upload-url", { key, body: " ".repeat(8 * 1024 * 1024) }).catch((error) => error);
    // The answer may leave before all was sent, and the connection be cut.
    if (!(answer instanceof Error)) assertProblem(answer, 413, "body-too-large");
    assert.equal((await platform.upload(key, "after.mp4")).status, 200);
  });

  await t.test("a body without an end is refused before it ends", async () => {
    const began = performance.now();
    const { status } = await endless(platform.url, key);
    assert.equal(status, 413);
    assert.ok(performance.now() - began < 3_000);
  });

  await t.test("a body that is empty, or not UTF-8, or not JSON, is refused in the API's own words", async () => {
    const post = (body) => platform.call("POST", "/upload-url", { key, headers: { "content-type": "application/json" }, body });
    for (const body of ["", "{", "[]", '{"filename":"a","filename":"b"}']) {
      const answer = await post(body);
      assert.ok(answer.status === 400 || answer.status === 422, `${body}: ${answer.status} ${answer.text}`);
      assert.match(answer.headers.get("content-type"), /problem\+json/);
    }
    const bytes = await fetch(`${platform.url}/upload-url`, {
      method: "POST",
      headers: { "x-api-key": key, "content-type": "application/json" },
      body: new Uint8Array([0x7b, 0x22, 0xff, 0xfe]),
    });
    assert.equal(bytes.status, 400, await bytes.text());
  });

  await t.test("a client that stops in the middle of its body hinders nobody", async () => {
    const { hostname, port } = new URL(platform.url);
    const head = `POST /upload-url HTTP/1.1\r\nhost: ${hostname}\r\nx-api-key: ${key}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"filename":`;
    const chunkedHead = `${head.replace("content-length: 100", "transfer-encoding: chunked").replace('{"filename":', "")}c\r\n{"filename":\r\n`;
    for (const beginning of [head, chunkedHead]) {
      const sockets = Array.from({ length: 5 }, () => {
        const socket = net.connect(Number(port), hostname);
        socket.on("error", () => {});
        socket.write(beginning);
        return socket;
      });
      const during = await platform.upload(key, "during.mp4");
      assert.equal(during.status, 200, during.text);
      for (const socket of sockets) socket.destroy();
      const after = await platform.upload(key, "after.mp4");
      assert.equal(after.status, 200, after.text);
    }
    assert.ok(!platform.lines.some((line) => line.message.includes("ended with a panic")), "nothing has ended by it");
  });

  await t.test("HEAD is answered as GET is, without its body and with its length", async () => {
    for (const path of ["/healthz", "/openapi.json", "/problems/rate-limited", "/nothing"]) {
      const get = await platform.call("GET", path, { headers: { "accept-encoding": "identity" } });
      const head = await platform.call("HEAD", path, { headers: { "accept-encoding": "identity" } });
      assert.equal(head.status, get.status, path);
      assert.equal(head.text, "");
      assert.equal(head.headers.get("content-type"), get.headers.get("content-type"));
      assert.equal(head.headers.get("content-length"), String(Buffer.byteLength(get.text)), `content-length of HEAD ${path}`);
      assert.ok(head.headers.get("x-request-id"));
    }
  });

  await t.test("OPTIONS tells the methods, and a preflight what a page may send", async () => {
    const plain = await platform.call("OPTIONS", "/upload-url");
    assert.equal(plain.status, 204);
    assert.equal(plain.headers.get("allow"), "POST, OPTIONS");
    assert.equal(plain.text, "");
    const headers = { origin: "https://app.example", "access-control-request-method": "POST", "access-control-request-headers": "x-api-key" };
    const preflight = await preflighted(platform.url, "/upload-url", headers);
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers["access-control-allow-origin"], "*");
    assert.match(preflight.headers["access-control-allow-methods"], /POST/);
    assert.match(preflight.headers["access-control-allow-headers"], /x-api-key/i);
    assert.ok(preflight.headers["x-request-id"]);
  });

  await t.test("paths come to the API as they were sent", async () => {
    assertProblem(await platform.call("GET", "//videos", { key }), 404, "no-such-path");
    assertProblem(await platform.call("PUT", "/upload-url", { key, body: "{}" }), 405, "method-not-allowed");
    assertProblem(await platform.call("GET", `/videos?after=${"a".repeat(9_000)}`, { key }), 414, "uri-too-long");
    const odd = await platform.playback(key, "acme/Über den Wolken (1)+&?#%.mp4");
    assert.equal(odd.status, 200, odd.text);
    assert.equal(decodeURIComponent(new URL(odd.json.signedUrl).pathname), "/processed/acme/Über den Wolken (1)+&?#%.mp4");
  });

  await t.test("headers that are no ASCII, or come twice, are refused as what they are", async () => {
    const odd = await raw(platform.url, ["x-api-key: sio_live_\xe9"]);
    assert.match(odd, /^HTTP\/1\.1 401 /);
    assert.match(odd, /malformed-api-key/);
    const twice = await raw(platform.url, [`x-api-key: ${key}`, `x-api-key: ${key}`]);
    assert.match(twice, /^HTTP\/1\.1 401 /);
    assert.match(twice, /malformed-api-key/);
    assert.ok(!twice.includes(key));
    const idempotency = await raw(platform.url, [`x-api-key: ${key}`, "idempotency-key: \xfc"]);
    assert.match(idempotency, /^HTTP\/1\.1 400 /);
  });

  await t.test("a hundred different requests at once each get their own answer", async () => {
    const calls = Array.from({ length: 100 }, async (_, index) => {
      const id = `one-of-many-${index}`;
      const headers = { "x-request-id": id };
      const answer =
        index % 3 === 0
          ? await platform.upload(key, `many-${index}.mp4`, { headers })
          : index % 3 === 1
            ? await platform.playback(key, `acme/many-${index}.mp4`, { headers })
            : await platform.call("GET", `/problems/none-${index}`, { headers });
      assert.equal(answer.headers.get("x-request-id"), id);
      if (index % 3 === 0) assert.equal(answer.json.s3Key, `projects/acme/many-${index}.mp4`);
      if (index % 3 === 1) assert.ok(answer.json.signedUrl.includes(`many-${index}.mp4`));
      if (index % 3 === 2) assert.equal(answer.status, 404);
    });
    await Promise.all(calls);
    await eventually("all of their log lines", () => platform.lines.filter((it) => it["request.id"]?.startsWith("one-of-many-")).length === 100);
  });
});

test("pages of several origins are each told their own", async (t) => {
  const platform = await startPlatform(t, { changes: { ALLOWED_ORIGINS: "https://a.example, https://b.example" } });
  const origins = ["https://a.example", "https://b.example", "https://c.example"];
  const asked = Array.from({ length: 30 }, async (_, index) => {
    const origin = origins[index % 3];
    const { headers } = await preflighted(platform.url, "/healthz", { origin });
    assert.equal(headers["access-control-allow-origin"], origin === "https://c.example" ? undefined : origin);
    assert.equal(headers.vary, "origin");
  });
  await Promise.all(asked);
});

/** What comes back for a POST to /upload-url with these header lines, in Latin-1. */
function raw(url, lines) {
  const { hostname, port } = new URL(url);
  const head = ["POST /upload-url HTTP/1.1", `host: ${hostname}`, "connection: close", "content-type: application/json", "content-length: 23", ...lines];
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), hostname);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      // The runtime keeps the connection open for some seconds after its answer.
      const [all, length] = /content-length: (\d+)\r\n[^]*?\r\n\r\n/i.exec(text) ?? [];
      if (all === undefined || text.length < text.indexOf(all) + all.length + Number(length)) return;
      socket.destroy();
      resolve(text);
    });
    socket.on("end", () => reject(new Error(`the answer was cut: ${text}`)));
    socket.on("error", reject);
    socket.write(Buffer.from(`${head.join("\r\n")}\r\n\r\n{"filename":"film.mp4"}`, "latin1"));
  });
}

/** A POST to /upload-url in chunks. */
function chunked(platform, key, pieces) {
  return new Promise((resolve, reject) => {
    const headers = { "x-api-key": key, "content-type": "application/json", "transfer-encoding": "chunked" };
    const request = http.request(`${platform.url}/upload-url`, { method: "POST", headers }, async (response) => {
      const chunks = [];
      for await (const chunk of response) chunks.push(chunk);
      const text = Buffer.concat(chunks).toString();
      platform.secrets.addAnswer(text);
      resolve({ status: response.statusCode, text });
    });
    request.on("error", reject);
    for (const piece of pieces) request.write(piece);
    request.end();
  });
}

/**
 * A POST to /upload-url whose body has one byte too many and no end. There is nothing more of it: a runtime that has answered
 * may cut the connection of a client that still writes, before the client has read the answer.
 */
function endless(url, key) {
  return new Promise((resolve, reject) => {
    const headers = { "x-api-key": key, "content-type": "application/json", "transfer-encoding": "chunked" };
    const request = http.request(`${url}/upload-url`, { method: "POST", headers });
    const stopped = (settle) => (value) => {
      clearTimeout(limit);
      settle(value);
      request.destroy();
    };
    const limit = setTimeout(() => stopped(reject)(new Error("no answer while the body went on")), 5_000);
    request.on("response", (response) => stopped(resolve)({ status: response.statusCode }));
    request.on("error", (error) => stopped(reject)(error));
    for (let written = 0; written < LIMIT; written += LIMIT / 4) request.write(" ".repeat(LIMIT / 4));
    request.write(" ");
  });
}

/** `fetch` does not send these headers for a page. */
function preflighted(url, path, headers) {
  return new Promise((resolve, reject) => {
    const request = http.request(url + path, { method: "OPTIONS", headers }, (response) => {
      response.resume();
      resolve({ status: response.statusCode, headers: response.headers });
    });
    request.on("error", reject);
    request.end();
  });
}

// Request bodies, methods and headers, valid and invalid.
import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { test } from "node:test";
import { eventually } from "./listener.mjs";
import { assertProblem, startPlatform } from "./platform.mjs";

const LIMIT = 64 * 1024;

test("bodies and methods", async (t) => {
  const platform = await startPlatform(t);
  const apiKey = platform.newKey();
  const { key } = apiKey;
  await platform.replicate(apiKey);

  await t.test("a chunked body without Content-Length is read", async () => {
    const response = await chunked(platform, key, ['{"file', 'name":"in-', 'pieces.mp4"', "}"]);
    assert.equal(response.status, 200, response.text);
    assert.equal(JSON.parse(response.text).s3Key, "projects/acme/in-pieces.mp4");
  });

  await t.test("a body of 64 KiB is read, and a body of one more byte is refused", async () => {
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

  await t.test("a body of 8 MiB is refused, and the next request succeeds", async () => {
    const response = await platform.call("POST", "/upload-url", { key, body: " ".repeat(8 * 1024 * 1024) }).catch((error) => error);
    // The Worker may respond and close the connection before the whole body is sent.
    if (!(response instanceof Error)) assertProblem(response, 413, "body-too-large");
    assert.equal((await platform.upload(key, "after.mp4")).status, 200);
  });

  await t.test("an endless body is refused", async () => {
    const start = performance.now();
    const { status } = await endless(platform.url, key);
    assert.equal(status, 413);
    assert.ok(performance.now() - start < 3_000);
  });

  await t.test("a body that is empty, not UTF-8 or not JSON is refused with a problem of the API", async () => {
    const post = (body) => platform.call("POST", "/upload-url", { key, headers: { "content-type": "application/json" }, body });
    for (const body of ["", "{", "[]", '{"filename":"a","filename":"b"}']) {
      const response = await post(body);
      assert.ok(response.status === 400 || response.status === 422, `${body}: ${response.status} ${response.text}`);
      assert.match(response.headers.get("content-type"), /problem\+json/);
    }
    const bytes = await fetch(`${platform.url}/upload-url`, {
      method: "POST",
      headers: { "x-api-key": key, "content-type": "application/json" },
      body: new Uint8Array([0x7b, 0x22, 0xff, 0xfe]),
    });
    assert.equal(bytes.status, 400, await bytes.text());
  });

  await t.test("a client that stops within its body does not affect other clients", async () => {
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
    assert.ok(!platform.logLines.some((line) => line.message.includes("ended with a panic")), "no instance has ended");
  });

  await t.test("HEAD returns the headers of GET, with its content-length and without a body", async () => {
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

  await t.test("OPTIONS returns the allowed methods, and a preflight the allowed headers", async () => {
    const plain = await platform.call("OPTIONS", "/upload-url");
    assert.equal(plain.status, 204);
    assert.equal(plain.headers.get("allow"), "POST, OPTIONS");
    assert.equal(plain.text, "");
    const headers = { origin: "https://app.example", "access-control-request-method": "POST", "access-control-request-headers": "x-api-key" };
    const allowed = await preflight(platform.url, "/upload-url", headers);
    assert.equal(allowed.status, 204);
    assert.equal(allowed.headers["access-control-allow-origin"], "*");
    assert.match(allowed.headers["access-control-allow-methods"], /POST/);
    assert.match(allowed.headers["access-control-allow-headers"], /x-api-key/i);
    assert.ok(allowed.headers["x-request-id"]);
  });

  await t.test("paths are passed to the API unchanged", async () => {
    assertProblem(await platform.call("GET", "//videos", { key }), 404, "no-such-path");
    assertProblem(await platform.call("PUT", "/upload-url", { key, body: "{}" }), 405, "method-not-allowed");
    assertProblem(await platform.call("GET", `/videos?after=${"a".repeat(9_000)}`, { key }), 414, "uri-too-long");
    const encoded = await platform.playback(key, "acme/Über den Wolken (1)+&?#%.mp4");
    assert.equal(encoded.status, 200, encoded.text);
    assert.equal(decodeURIComponent(new URL(encoded.json.signedUrl).pathname), "/processed/acme/Über den Wolken (1)+&?#%.mp4");
  });

  await t.test("headers that are not ASCII or are repeated are refused", async () => {
    const notAscii = await raw(platform.url, ["x-api-key: sio_live_\xe9"]);
    assert.match(notAscii, /^HTTP\/1\.1 401 /);
    assert.match(notAscii, /malformed-api-key/);
    const twice = await raw(platform.url, [`x-api-key: ${key}`, `x-api-key: ${key}`]);
    assert.match(twice, /^HTTP\/1\.1 401 /);
    assert.match(twice, /malformed-api-key/);
    assert.ok(!twice.includes(key));
    const idempotency = await raw(platform.url, [`x-api-key: ${key}`, "idempotency-key: \xfc"]);
    assert.match(idempotency, /^HTTP\/1\.1 400 /);
  });

  await t.test("each of a hundred concurrent requests gets its own response", async () => {
    const calls = Array.from({ length: 100 }, async (_, index) => {
      const id = `one-of-many-${index}`;
      const headers = { "x-request-id": id };
      const response =
        index % 3 === 0
          ? await platform.upload(key, `many-${index}.mp4`, { headers })
          : index % 3 === 1
            ? await platform.playback(key, `acme/many-${index}.mp4`, { headers })
            : await platform.call("GET", `/problems/none-${index}`, { headers });
      assert.equal(response.headers.get("x-request-id"), id);
      if (index % 3 === 0) assert.equal(response.json.s3Key, `projects/acme/many-${index}.mp4`);
      if (index % 3 === 1) assert.ok(response.json.signedUrl.includes(`many-${index}.mp4`));
      if (index % 3 === 2) assert.equal(response.status, 404);
    });
    await Promise.all(calls);
    await eventually("the log lines of all requests", () => platform.logLines.filter((it) => it["request.id"]?.startsWith("one-of-many-")).length === 100);
  });
});

test("with several allowed origins, a preflight returns the origin of its page", async (t) => {
  const platform = await startPlatform(t, { changes: { ALLOWED_ORIGINS: "https://a.example, https://b.example" } });
  const origins = ["https://a.example", "https://b.example", "https://c.example"];
  const preflights = Array.from({ length: 30 }, async (_, index) => {
    const origin = origins[index % 3];
    const { headers } = await preflight(platform.url, "/healthz", { origin });
    assert.equal(headers["access-control-allow-origin"], origin === "https://c.example" ? undefined : origin);
    assert.equal(headers.vary, "origin");
  });
  await Promise.all(preflights);
});

/** Sends a POST to /upload-url with these header lines in Latin-1. Returns the raw response. */
function raw(url, lines) {
  const { hostname, port } = new URL(url);
  const head = ["POST /upload-url HTTP/1.1", `host: ${hostname}`, "connection: close", "content-type: application/json", "content-length: 23", ...lines];
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), hostname);
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      // The runtime keeps the connection open for some seconds after the response.
      const [all, length] = /content-length: (\d+)\r\n[^]*?\r\n\r\n/i.exec(text) ?? [];
      if (all === undefined || text.length < text.indexOf(all) + all.length + Number(length)) return;
      socket.destroy();
      resolve(text);
    });
    socket.on("end", () => reject(new Error(`the response is incomplete: ${text}`)));
    socket.on("error", reject);
    socket.write(Buffer.from(`${head.join("\r\n")}\r\n\r\n{"filename":"film.mp4"}`, "latin1"));
  });
}

/** Sends a POST to /upload-url with a chunked body. */
function chunked(platform, key, pieces) {
  return new Promise((resolve, reject) => {
    const headers = { "x-api-key": key, "content-type": "application/json", "transfer-encoding": "chunked" };
    const request = http.request(`${platform.url}/upload-url`, { method: "POST", headers }, async (response) => {
      const chunks = [];
      for await (const chunk of response) chunks.push(chunk);
      const text = Buffer.concat(chunks).toString();
      platform.secrets.addResponse(text);
      resolve({ status: response.statusCode, text });
    });
    request.on("error", reject);
    for (const piece of pieces) request.write(piece);
    request.end();
  });
}

/**
 * Sends a POST to /upload-url with a body of one byte more than the limit that does not end. It writes no more than that, because a
 * runtime that has responded may close the connection of a client that still writes before the client has read the response.
 */
function endless(url, key) {
  return new Promise((resolve, reject) => {
    const headers = { "x-api-key": key, "content-type": "application/json", "transfer-encoding": "chunked" };
    const request = http.request(`${url}/upload-url`, { method: "POST", headers });
    const settleOnce = (settle) => (value) => {
      clearTimeout(limit);
      settle(value);
      request.destroy();
    };
    const limit = setTimeout(() => settleOnce(reject)(new Error("no response before the end of the body")), 5_000);
    request.on("response", (response) => settleOnce(resolve)({ status: response.statusCode }));
    request.on("error", (error) => settleOnce(reject)(error));
    for (let written = 0; written < LIMIT; written += LIMIT / 4) request.write(" ".repeat(LIMIT / 4));
    request.write(" ");
  });
}

/** Sends a preflight request. `fetch` cannot set these headers. */
function preflight(url, path, headers) {
  return new Promise((resolve, reject) => {
    const request = http.request(url + path, { method: "OPTIONS", headers }, (response) => {
      response.resume();
      resolve({ status: response.statusCode, headers: response.headers });
    });
    request.on("error", reject);
    request.end();
  });
}

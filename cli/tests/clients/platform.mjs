// A running platform: the `streamio` program with a data directory of its own, on free ports. It stops at the end of its
// standard input, so that it also ends when the test process is killed.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { eventually } from "./eventually.mjs";
import { processesMentioning } from "./processes.mjs";

const run = promisify(execFile);

/**
 * Starts a platform with a project and an API key. Pages of the origin `corsOrigin` may use it; with `webhookLoopback` it sends webhooks to
 * this machine. `atEnd` registers its end.
 */
export async function startPlatform(atEnd, { corsOrigin, webhookLoopback = false } = {}) {
  const program = process.env.STREAMIO_PROGRAM;
  assert.ok(program, "STREAMIO_PROGRAM is not set: run these tests with `cargo xtask test --only clients --only browser`");
  const directory = mkdtempSync(join(tmpdir(), "streamio-clients-"));
  const data = join(directory, "data");
  const log = createWriteStream(join(directory, "platform.log"));
  const origins = corsOrigin === undefined ? [] : ["--cors-origin", corsOrigin];
  const webhooks = webhookLoopback ? ["--webhook-loopback"] : [];
  const child = spawn(program, ["up", "--port", "0", "--json", "--stop-at-stdin-end", "--concurrency", "2", "--data", data, ...origins, ...webhooks], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stderr.pipe(log);
  const ended = new Promise((resolve) => child.once("close", resolve));
  atEnd(async () => {
    child.stdin.end();
    assert.equal(await ended, 0, "the platform ends without an error");
    await eventually(`no process mentions ${directory}: ${processesMentioning(directory)}`, () => processesMentioning(directory).length === 0 || undefined);
    rmSync(directory, { recursive: true });
  });
  const [line] = await Promise.race([
    new Promise((resolve) => createInterface(child.stdout).once("line", (line) => resolve([line]))),
    ended.then((code) => Promise.reject(new Error(`the platform ended with ${code}; its log is in ${directory}`))),
  ]);
  const { api, s3, cdn } = JSON.parse(line);
  const created = await run(program, ["project", "create", "acme", "--data", data, "--json"]);
  return new Platform({ directory, api, s3, cdn, apiKey: JSON.parse(created.stdout).apiKey });
}

class Platform {
  constructor(properties) {
    Object.assign(this, properties);
  }

  /** Calls the API and returns the body of its response. */
  async call(method, path, body) {
    const response = await fetch(this.api + path, {
      method,
      headers: { "x-api-key": this.apiKey, ...(body && { "content-type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text);
  }

  /** Waits until the video is ready and returns its status view. */
  async ready(videoId) {
    return eventually(`${videoId} is ready`, async () => {
      const status = await this.call("GET", `/videos/${videoId}`);
      assert.notEqual(status.state, "errored", JSON.stringify(status));
      return status.state === "ready" ? status : undefined;
    });
  }

  /** Returns the id of the video with this file name in the project's top folder. */
  async videoNamed(filename) {
    const { data } = await this.call("GET", "/videos?limit=100");
    const video = data.find(({ s3Key }) => s3Key === `projects/acme/${filename.normalize("NFC")}`);
    assert.ok(video, `no video has the name ${filename}: ${JSON.stringify(data)}`);
    return video.videoId;
  }

  /** Returns the signed URLs of a file or a stream. */
  playback(key) {
    return this.call("POST", `/playback-url?key=${encodeURIComponent(key)}`, { ttl: 3600 });
  }
}

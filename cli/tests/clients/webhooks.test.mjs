// Receives webhooks with the programs of docs/examples, which use the official libraries of Standard Webhooks, by the commands of the
// README, and with the code of docs/webhooks.md.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { atTheEndOf } from "./cleanup.mjs";
import { writeClip } from "./clips.mjs";
import { codeBlockOf } from "./documentation.mjs";
import { eventually } from "./eventually.mjs";
import { startPlatform } from "./platform.mjs";

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** Much longer than the test takes; only a defect makes it run this long. */
const TIMEOUT_MILLISECONDS = 600_000;
/** The commands of the README, in its order, with the address that they name. */
const README = { name: "webhooks", file: "README.md", url: "http://127.0.0.1:9000" };
const DOCUMENTATION = "docs/webhooks.md";
const RECEIVERS = [
  ["python3", "docs/examples/webhook_receiver.py"],
  ["node", "docs/examples/webhook-receiver.mjs"],
];

test("webhooks", { timeout: TIMEOUT_MILLISECONDS }, async (t) => {
  const atEnd = atTheEndOf(t);
  const packages = process.env.STREAMIO_PYTHON_PACKAGES;
  assert.ok(packages, "STREAMIO_PYTHON_PACKAGES is not set: run this with `cargo xtask test --only clients`");
  const platform = await startPlatform(atEnd, { webhookLoopback: true });
  const env = {
    ...process.env,
    STREAMIO_URL: platform.api,
    STREAMIO_API_KEY: platform.apiKey,
    PATH: `${dirname(process.env.STREAMIO_PROGRAM)}:${process.env.PATH}`,
    PYTHONPATH: packages,
    PYTHONDONTWRITEBYTECODE: "1",
  };
  const shell = async (script) => (await run("bash", ["-euc", script], { cwd: platform.directory, env })).stdout.trim();
  const json = async (command) => JSON.parse(await shell(`streamio webhook ${command} --json`));
  const delivered = (delivery) =>
    eventually(`${delivery} is delivered`, async () => {
      const shown = await json(`deliveries ${delivery}`);
      return shown.state === "delivered" ? shown : undefined;
    });

  for (const [program, path] of RECEIVERS) {
    await t.test(`${path} receives messages by the commands of the README`, async (t) => {
      const lines = codeBlockOf(README.file, README.name).trim().split("\n");
      const starts = lines.findIndex((line) => line.startsWith("python3 "));
      assert.match(lines[starts], new RegExp(`^python3 ${RECEIVERS[0][1]} &`));
      assert.ok((await readFile(join(ROOT, "README.md"), "utf8")).includes(`${program} ${path}`), "the README names it");

      // The receiver selects a free port when it starts, and needs the secret for that: the endpoint has no usable port before.
      const add = lines.slice(0, starts).join("\n").replace(README.url, "http://127.0.0.1:0");
      const secret = await shell(`${add}\nprintf %s "$WEBHOOK_SECRET"`);
      assert.match(secret, /^whsec_/);
      const receiver = await startReceiver(atTheEndOf(t), { program, path, directory: platform.directory, env: { ...env, WEBHOOK_SECRET: secret } });
      const [{ webhookId }] = (await json("list")).data;
      await shell(`streamio webhook update ${webhookId} --endpoint-url ${receiver.url}`);

      const delivery = await shell(lines.slice(starts + 1).join("\n").replace(README.url, receiver.url));
      const { attempts, messageId } = await delivered(delivery);
      assert.equal(attempts.at(-1).status, 204);
      await receiver.prints(`video.ready ${messageId}`);

      const filename = `${program}.mp4`;
      await writeClip(join(platform.directory, filename), { seconds: 1, size: "64x48" });
      await shell(`streamio upload ${filename} --wait`);
      for (const type of ["video.uploaded", "video.processing", "video.ready"]) {
        const { data } = await eventually(`${type} is scheduled`, async () => {
          const page = await json(`deliveries --type ${type} --video projects/acme/${filename}`);
          return page.data.length > 0 ? page : undefined;
        });
        await delivered(data[0].deliveryId);
        await receiver.prints(`${type} ${data[0].messageId}`);
      }

      const { body } = await json(`deliveries ${delivery}`);
      const headers = { "webhook-id": messageId, "webhook-timestamp": String(Math.floor(Date.now() / 1000)) };
      const forged = await fetch(receiver.url, { method: "POST", body, headers: { ...headers, "webhook-signature": "v1,AAAA" } });
      assert.equal(forged.status, 400, "a message that is not signed with the secret is refused");

      await shell(`streamio webhook rotate-secret ${webhookId} --overlap 1h`);
      const rotated = await delivered(await shell(`streamio webhook test ${webhookId} --type video.errored`));
      await receiver.prints(`video.errored ${rotated.messageId}`);
      await delivered(await shell(`streamio webhook resend ${delivery}`));
      await eventually("the message that was sent again arrives", () => receiver.count(`video.ready ${messageId}`) === 2 || undefined);
      await shell(`streamio webhook remove ${webhookId} --yes`);
      assert.deepEqual((await json("list")).data, []);
    });
  }

  await t.test("the code of docs/webhooks.md verifies a message with the public key, and its example is the real one", async (t) => {
    const received = [];
    const server = createServer(async (request, response) => {
      received.push({ headers: request.headers, body: Buffer.concat(await request.toArray()).toString() });
      response.end();
    });
    atTheEndOf(t)(() => server.close());
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    await shell(`streamio webhook add http://127.0.0.1:${server.address().port}`);
    await delivered(await shell("streamio webhook test"));
    const [{ headers, body }] = received;

    const module = join(platform.directory, "verify.mjs");
    await writeFile(module, codeBlockOf(DOCUMENTATION, "verify-with-public-key"));
    const { verified } = await import(module);
    const publicKey = await shell("streamio webhook public-key");
    const message = verified(publicKey, body, headers);
    assert.equal(message.data.test, true);
    const other = `whpk_${Buffer.alloc(32, 9).toString("base64")}`;
    const old = { ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) - 301) };
    for (const [key, text, given] of [[publicKey, `${body} `, headers], [other, body, headers], [publicKey, body, old], [publicKey, body, {}]]) {
      assert.throws(() => verified(key, text, given));
    }

    const documented = JSON.parse(codeBlockOf(DOCUMENTATION, "video.ready"));
    const { video } = message.data;
    for (const part of [message, message.data, video]) {
      for (const name of ["timestamp", "occurredAt", "createdAt", "updatedAt"]) if (name in part) part[name] = documented.timestamp;
    }
    // An example has no place in the feed: no event led to it.
    const { seq, ...data } = documented.data;
    assert.equal(typeof seq, "number");
    assert.deepEqual(message, { ...documented, data: { ...data, test: true } });
  });
});

/** Starts a receiver of docs/examples on a free port. `atEnd` registers its end. */
async function startReceiver(atEnd, { program, path, directory, env }) {
  const copy = join(directory, path.split("/").at(-1));
  await writeFile(copy, await readFile(join(ROOT, path)));
  // Where `npm install standardwebhooks` puts it.
  await symlink(join(ROOT, "cli/tests/clients/node_modules"), join(directory, "node_modules")).catch((error) => {
    if (error.code !== "EEXIST") throw error;
  });
  const child = spawn(program, [copy], { cwd: directory, env: { ...env, PORT: "0" }, stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise((resolve) => child.once("close", resolve));
  atEnd(async () => {
    child.kill();
    await ended;
  });
  const lines = [];
  createInterface(child.stdout).on("line", (line) => lines.push(line));
  const url = await eventually(`${path} listens`, () => {
    assert.equal(child.exitCode, null, `${path} has ended`);
    return lines[0]?.match(/^listening on (http:\S+)$/)?.[1];
  });
  const count = (line) => lines.filter((printed) => printed === line).length;
  const prints = (line) => eventually(`${path} prints ${line}: ${lines}`, () => count(line) > 0 || undefined);
  return { url, count, prints };
}

// Uploads with curl, boto3 and rclone, by the code of docs/uploading.md.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, stat, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { atTheEndOf } from "./cleanup.mjs";
import { pad, writeClip } from "./clips.mjs";
import { codeBlock, codeBlockNames } from "./documentation.mjs";
import { startPlatform } from "./platform.mjs";

const run = promisify(execFile);
/** More than two parts of 16 MiB. */
const PADDING_BYTES = 34 * 1024 * 1024;

/** Much longer than the test takes; only a defect makes it run this long. */
const TIMEOUT_MILLISECONDS = 600_000;

/** The names of the code blocks that run in web pages; page-uploads.test.mjs uses them. */
const IN_PAGES = ["backend", "grant.js", "fetch.js", "xhr.js", "uppy.js"];
/** The code blocks that define functions for others. */
const FUNCTIONS = ["request", "upload-parts"];
const COMMANDS = ["curl", "curl-stated", "curl-multipart", "rclone", "rclone-multipart"];

test("every code block of the documentation is run by a test", () => {
  assert.deepEqual(codeBlockNames().toSorted(), [...IN_PAGES, ...FUNCTIONS, ...COMMANDS, "boto3"].toSorted());
});

test("commands", { timeout: TIMEOUT_MILLISECONDS }, async (t) => {
  const atEnd = atTheEndOf(t);
  const packages = process.env.STREAMIO_PYTHON_PACKAGES;
  assert.ok(packages, "STREAMIO_PYTHON_PACKAGES is not set: run this with `cargo xtask test --only clients`");
  const platform = await startPlatform(atEnd);
  const folder = platform.directory;
  const file = (name) => join(folder, name);
  await writeClip(file("small.mp4"), { seconds: 2, size: "320x180" });
  await copyFile(file("small.mp4"), file("large.mp4"));
  await pad(file("large.mp4"), PADDING_BYTES);
  const env = {
    ...process.env,
    STREAMIO_URL: platform.api,
    STREAMIO_API_KEY: platform.apiKey,
    PATH: join(packages, "bin") + delimiter + process.env.PATH,
    PYTHONPATH: packages,
    PYTHONDONTWRITEBYTECODE: "1",
    // The remote `remote:` is the folder. It is defined here, without a configuration file.
    RCLONE_CONFIG: "/dev/null",
    RCLONE_CONFIG_REMOTE_TYPE: "alias",
    RCLONE_CONFIG_REMOTE_REMOTE: folder,
  };
  const shell = (script) => run("bash", ["-euc", script], { cwd: folder, env });
  const python = async (grant, path) => {
    await writeFile(file("grant.json"), JSON.stringify(grant));
    const script = `${codeBlock("boto3")}\nimport json, sys\nupload(sys.argv[1], json.load(open("grant.json")))\n`;
    return run("python3", ["-c", script, path], { cwd: folder, env });
  };

  const uploaded = [];
  for (const name of COMMANDS) {
    await t.test(`${name} uploads a file`, async () => {
      const source = file(name.endsWith("multipart") ? "large.mp4" : "small.mp4");
      await copyFile(source, file("clip.mp4"));
      await shell([...FUNCTIONS, name].map(codeBlock).join("\n"));
      uploaded.push([await platform.videoNamed(`${name}.mp4`), source]);
    });
  }

  for (const [name, fields] of [["small.mp4", {}], ["large.mp4", { multipart: true }]]) {
    await t.test(`boto3 uploads ${name}${fields.multipart ? " in parts" : ""}`, async () => {
      const { size } = await stat(file(name));
      const grant = await platform.call("POST", "/upload-url", { filename: `boto3-${name}`, size, contentType: "video/mp4", ...fields });
      assert.equal(grant.multipart !== undefined, fields.multipart === true);
      await python(grant, file(name));
      uploaded.push([grant.videoId, file(name)]);
    });
  }

  await t.test("every uploaded file becomes ready, with all its bytes", async () => {
    assert.equal(uploaded.length, COMMANDS.length + 2);
    for (const [videoId, source] of uploaded) {
      const status = await platform.ready(videoId);
      assert.equal(status.source.bytes, (await stat(source)).size, status.s3Key);
    }
  });

  const otherFile = { filename: "other.mp4", sha256: "0".repeat(64) };

  await t.test("boto3 reports the refusal of another file than granted", async () => {
    const grant = await platform.call("POST", "/upload-url", otherFile);
    const refused = await python(grant, file("small.mp4")).catch((error) => error);
    assert.match(refused.stderr || "no error", /S3UploadFailedError/);
  });

  await t.test("curl fails if the object store refuses the file", async () => {
    const script = codeBlock("curl-stated").replace(/^grant=.*$/m, `grant="$(request '${JSON.stringify(otherFile)}')"`);
    assert.match(script, /sha256/);
    const refused = await shell(`${codeBlock("request")}\n${script}`).catch((error) => error);
    assert.ok(refused.code > 0, `the script succeeds: ${refused.stdout}`);
    assert.match(refused.stdout, /<Code>/);
  });
});

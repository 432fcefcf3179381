// Unpacks the Chromium of the npm package @sparticuz/chromium: `node unpack-chromium.mjs FOLDER` writes the program `chromium` and, in
// `lib`, libraries that it needs and that not every system has.
import { createReadStream, createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress } from "node:zlib";
import { extract } from "tar-fs";

const folder = process.argv[2];
const unpack = (name, target) =>
  pipeline(createReadStream(new URL(`node_modules/@sparticuz/chromium/bin/${name}`, import.meta.url)), createBrotliDecompress(), target);

await Promise.all([
  unpack("chromium.br", createWriteStream(join(folder, "chromium"), { mode: 0o755 })),
  unpack("al2023.tar.br", extract(folder)),
]);

// Test clips, made with FFmpeg.
import { execFile } from "node:child_process";
import { appendFile, stat, truncate } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Writes a clip to `file`: a red picture that becomes blue in the middle, with a tone. */
export async function writeClip(file, { seconds, size }) {
  const half = `s=${size}:r=25:d=${seconds / 2}`;
  const inputs = [`color=red:${half}`, `color=blue:${half}`, `sine=d=${seconds}`].flatMap((source) => ["-f", "lavfi", "-i", source]);
  const codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"];
  await run("ffmpeg", ["-nostdin", "-v", "error", "-y", ...inputs, "-filter_complex", "[0][1]concat[v]", "-map", "[v]", "-map", "2", ...codecs, file]);
}

/** Appends `bytes` of padding to an MP4 file, in a box that players ignore. */
export async function pad(file, bytes) {
  const header = Buffer.alloc(8);
  header.writeUInt32BE(bytes);
  header.write("free", 4);
  await appendFile(file, header);
  const { size } = await stat(file);
  await truncate(file, size + bytes - header.length);
}

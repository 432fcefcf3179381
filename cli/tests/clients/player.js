// What the tests of playback do in a page: open a source in its <video>, seek, and look at the picture.
import Hls from "./hls.mjs";

const video = document.querySelector("video");

/** Much longer than a player takes to react; only a defect makes it wait this long. */
const TIMEOUT_MILLISECONDS = 60_000;
const PAUSE_MILLISECONDS = 50;

/** Resolves when `condition` holds. It is checked repeatedly, because some changes of a player cause no event. */
async function until(what, condition) {
  const deadline = Date.now() + TIMEOUT_MILLISECONDS;
  while (!condition()) {
    if (video.error) throw new Error(`${what}: error ${video.error.code} of the player: ${video.error.message}`);
    if (Date.now() > deadline) throw new Error(`${what}: not reached; the player is at ${state()}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS));
  }
}

function state() {
  const { currentTime, duration, paused, seeking, readyState, videoHeight, buffered } = video;
  const ranges = Array.from({ length: buffered.length }, (_, index) => [buffered.start(index), buffered.end(index)]);
  return JSON.stringify({ currentTime, duration, paused, seeking, readyState, videoHeight, ranges });
}

/** Opens an HLS stream with hls.js. */
export function openWithHlsJs(url, options = {}) {
  const hls = new Hls(options);
  const failed = new Promise((_, reject) => {
    hls.on(Hls.Events.ERROR, (_, { type, details, fatal, error }) => fatal && reject(new Error(`${type} ${details}: ${error}`)));
  });
  hls.loadSource(url);
  hls.attachMedia(video);
  window.hls = hls;
  return Promise.race([failed, opened()]);
}

/** Opens a URL with the browser's own player. */
export function open(url, crossOrigin = "anonymous") {
  video.crossOrigin = crossOrigin;
  video.src = url;
  return opened();
}

async function opened() {
  await until("the first picture", () => video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA);
  return { duration: video.duration, width: video.videoWidth, height: video.videoHeight };
}

/** Plays until the time has advanced by `seconds`. */
export async function play(seconds) {
  const target = video.currentTime + seconds;
  await video.play();
  await until(`playing until ${target}`, () => video.currentTime >= target);
  video.pause();
}

/** Plays until the end and returns the time there. */
export async function playToTheEnd() {
  await video.play();
  await until("the end", () => video.ended);
  return video.currentTime;
}

/** Moves to a time and returns the colour of the picture there: its red, green and blue. */
export async function seek(seconds) {
  video.currentTime = seconds;
  await until(`the picture at ${seconds}`, () => !video.seeking && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA);
  return colour();
}

function colour() {
  const canvas = document.querySelector("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0, 1, 1);
  return Array.from(context.getImageData(0, 0, 1, 1).data.slice(0, 3));
}

/** Switches hls.js to each of its levels in turn while it plays. Returns the height of each level and of its picture. */
export async function switchThroughLevels() {
  const heights = [];
  for (const [index, { height }] of window.hls.levels.entries()) {
    await seek(0);
    window.hls.currentLevel = index;
    await video.play();
    await until(`a picture of level ${index}`, () => video.videoHeight === height && video.currentTime > 0);
    video.pause();
    heights.push([height, video.videoHeight]);
  }
  return heights;
}

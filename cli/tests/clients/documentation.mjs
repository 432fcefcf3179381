// The code blocks of docs/uploading.md, docs/webhooks.md and the README, which the tests run.
import { readFileSync } from "node:fs";

/** Returns the code block of docs/uploading.md whose opening fence has this name after the language, as in "```js fetch.js". */
export function codeBlock(name) {
  return codeBlockOf("docs/uploading.md", name);
}

/** Returns the code block of `file` with this name. */
export function codeBlockOf(file, name) {
  const blocks = fencedBlocks(file).filter(({ info }) => info.split(" ")[1] === name);
  if (blocks.length !== 1) throw new Error(`${file} has ${blocks.length} code blocks with the name ${name}`);
  return blocks[0].text;
}

/** Returns the names of all code blocks of docs/uploading.md. */
export function codeBlockNames() {
  return fencedBlocks("docs/uploading.md").map(({ info }) => info.split(" ")[1]);
}

/** Returns the web page with a player that the README shows. */
export function playerOfReadme() {
  const pages = fencedBlocks("README.md").filter(({ info, text }) => info === "html" && text.includes("<video"));
  if (pages.length !== 1) throw new Error(`README.md has ${pages.length} code blocks with a player`);
  return pages[0].text;
}

function fencedBlocks(file) {
  const text = readFileSync(new URL(`../../../${file}`, import.meta.url), "utf8");
  return Array.from(text.matchAll(/^```(.*)\n([^]*?)^```$/gm), ([, info, text]) => ({ info, text }));
}

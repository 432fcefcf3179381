// Node and Deno: the module is a file beside this one.
import { readFileSync } from "node:fs";
import { initSync } from "../dist/signer.js";

initSync({ module: readFileSync(new URL("../dist/signer_bg.wasm", import.meta.url)) });

export * from "./calls.js";

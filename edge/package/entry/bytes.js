// Entry point for Node.js and Deno: reads the WebAssembly module from the package's folder.
import { readFileSync } from "node:fs";
import { initSync } from "../dist/signer.js";

initSync({ module: readFileSync(new URL("../dist/signer_bg.wasm", import.meta.url)) });

export * from "./calls.js";

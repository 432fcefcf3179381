// Entry point for browsers and bundlers: fetches the WebAssembly module from the URL beside the script, and compiles it while
// it is downloaded.
import init from "../dist/signer.js";

await init();

export * from "./calls.js";

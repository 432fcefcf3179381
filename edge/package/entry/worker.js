// Entry point for Workers: the import is a WebAssembly.Module, because Workers compile modules at deployment.
import module from "../dist/signer_bg.wasm";
import { initSync } from "../dist/signer.js";

initSync({ module });

export * from "./calls.js";

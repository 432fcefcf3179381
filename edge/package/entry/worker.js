// Workers: code is compiled before it is deployed, so that the import is a WebAssembly.Module already.
import module from "../dist/signer_bg.wasm";
import { initSync } from "../dist/signer.js";

initSync({ module });

export * from "./calls.js";

// Browsers and what bundles for them: the module is fetched from beside the glue, compiled while it arrives.
import init from "../dist/signer.js";

await init();

export * from "./calls.js";

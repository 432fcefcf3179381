// The entry of the Worker with probes, for benchmarks and for the test of panics. It is not deployed.

import worker from "./index.js";

export { benchPresign, benchRewritePlaylist, benchSharedPolicy, benchSignPolicy } from "./edge.js";

export default {
  ...worker,

  /** Makes the module panic at once for the header `x-streamio-panic: sync`, and after a wait for `x-streamio-panic: async`, and
   * with a formatted message for `x-streamio-panic: formatted`. */
  fetch(request, env, context) {
    const panic = request.headers.get("x-streamio-panic");
    if (panic === null) return worker.fetch(request, env, context);
    return worker.fetch(new Request(new URL(`/probes/panic-${panic}`, request.url), request), env, context);
  },
};

// The entry of the Worker with probes, for benchmarks and for the test of panics. It is never deployed.

import worker from "./index.js";

export { benchPresign, benchSharedPolicy, benchSignPolicy } from "./edge.js";

export default {
  ...worker,

  /** With the header `x-streamio-panic: sync` or `async` the module panics at once, or after it has waited. */
  fetch(request, env, context) {
    const panic = request.headers.get("x-streamio-panic");
    if (panic === null) return worker.fetch(request, env, context);
    return worker.fetch(new Request(new URL(`/probes/panic-${panic}`, request.url), request), env, context);
  },
};

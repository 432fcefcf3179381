// The built Worker with the bindings of the bench.
import worker from "./index.js";
import { withBindings } from "./bindings.mjs";

export default withBindings(worker);

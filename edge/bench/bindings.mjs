// The bindings that both workers get, in memory: neither pays for a queue or a store that the other does not.
import { keyHash, tenant } from "./tenant.json";

const RECORD = JSON.stringify(tenant);

/**
 * A queue that accepts at once. Like the runtime's, it stores a text unchanged and everything else as JSON. The Worker checks the
 * name of a queue's class: it is the runtime's.
 */
class WorkerQueue {
  async send(message, options) {
    this.last = options?.contentType === "text" ? message : JSON.stringify(message);
  }
}

/** A key-value store with the one API key that exists, in whichever form it is asked for. */
const TENANTS = {
  async get(key, type) {
    if (key !== `k:${keyHash}`) return null;
    const wanted = typeof type === "object" ? type?.type : type;
    if (wanted === "json") return JSON.parse(RECORD);
    if (wanted === "arrayBuffer") return new TextEncoder().encode(RECORD).buffer;
    if (wanted === undefined || wanted === "text") return RECORD;
    throw new TypeError(`this store has no values of type ${wanted}`);
  },
  async getWithMetadata(key, type) {
    return { value: await TENANTS.get(key, type), metadata: null, cacheStatus: null };
  },
  async list() {
    return { keys: [{ name: `k:${keyHash}` }], list_complete: true };
  },
  async put() {},
  async delete() {},
};

/** `worker` with these bindings beside its own, put together once per isolate. */
export function withBindings(worker) {
  let full;
  return {
    fetch(request, env, context) {
      full ??= { ...env, GRANTS: new WorkerQueue(), DEAD_GRANTS: new WorkerQueue(), TENANTS };
      return worker.fetch(request, full, context);
    },
  };
}

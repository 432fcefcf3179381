// The in-memory bindings of both Workers, so that queues and stores cost both sides the same.
import { serveFromMemory } from "./cdn.mjs";
import { keyHash, tenant } from "./tenant.json";

const RECORD = JSON.stringify(tenant);

/**
 * A queue that accepts every message at once. Like the runtime's queue, it stores a text unchanged and other values as JSON. The
 * class has the name of the runtime's class, because the Worker checks it.
 */
class WorkerQueue {
  async send(message, options) {
    this.last = options?.contentType === "text" ? message : JSON.stringify(message);
  }
}

/** A key-value store that contains the API key of the bench. */
const TENANTS = {
  async get(key, type) {
    if (key !== `k:${keyHash}`) return null;
    const format = typeof type === "object" ? type?.type : type;
    if (format === "json") return JSON.parse(RECORD);
    if (format === "arrayBuffer") return new TextEncoder().encode(RECORD).buffer;
    if (format === undefined || format === "text") return RECORD;
    throw new TypeError(`this store does not support the type ${format}`);
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

/** Returns `worker` with these bindings in addition to its own. They are merged once per isolate. */
export function withBindings(worker) {
  serveFromMemory();
  let merged;
  return {
    fetch(request, env, context) {
      merged ??= { ...env, GRANTS: new WorkerQueue(), DEAD_GRANTS: new WorkerQueue(), TENANTS };
      return worker.fetch(request, merged, context);
    },
  };
}

// The Worker with bindings whose calls can be made to fail. This module runs in workerd and calls the Worker's own entry.
//
// `POST /-/faults` with a JSON object sets the faults. `GET /-/reads` returns the names that were read from KV,
// `GET /-/deliveries` the retried messages (number of deliveries, delay) and the number of failed acknowledgements.
import worker from "./index.js";

let faults = {};
const reads = [];
const deliveries = { retries: [], failedAcks: 0 };
let bindings;

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A queue with this `send`. The class has the name of the runtime's class, because the Worker checks it. */
class WorkerQueue {
  constructor(send) {
    this.send = send;
  }
}

/** Returns a queue that refuses or delays messages when the faults require it. */
const queue = (binding) =>
  new WorkerQueue(async (message, options) => {
    if (faults.queueDelay) await sleep(faults.queueDelay);
    if (faults.queueRefuses) throw new Error("Queue sends failed with https://queue.example/?Signature=0123456789abcdef");
    return binding.send(message, options);
  });

/** Returns a KV namespace that records reads, and fails when the faults require it. */
function store(binding) {
  const read = (method) => async (name, options) => {
    reads.push(name);
    if (faults.kvFails) throw new Error("KV GET failed: 500 Internal Server Error");
    return binding[method](name, options);
  };
  const denied = async () => {
    throw new Error("the Worker must only read");
  };
  return { get: read("get"), getWithMetadata: read("getWithMetadata"), list: denied, put: denied, delete: denied };
}

function withFaults(env) {
  bindings ??= {
    ...env,
    GRANTS: env.GRANTS && queue(env.GRANTS),
    DEAD_GRANTS: env.DEAD_GRANTS && new WorkerQueue((message, options) => deadLetter(env.DEAD_GRANTS, message, options)),
    TENANTS: env.TENANTS && store(env.TENANTS),
  };
  return bindings;
}

async function deadLetter(binding, message, options) {
  if (faults.deadQueueRefuses) throw new Error("the dead-letter queue is full");
  return binding.send(message, options);
}

/** Returns a message whose retry delay is at most `maxRetryDelay` seconds, so that tests take less time. */
const withShortDelay = (message) => ({
  id: message.id,
  timestamp: message.timestamp,
  body: message.body,
  attempts: message.attempts,
  ack() {
    if (faults.ackFails) {
      deliveries.failedAcks += 1;
      throw new TypeError("this message cannot be acknowledged");
    }
    message.ack();
  },
  retry({ delaySeconds }) {
    deliveries.retries.push({ attempts: message.attempts, delaySeconds });
    message.retry({ delaySeconds: Math.min(delaySeconds, faults.maxRetryDelay ?? delaySeconds) });
  },
});

export default {
  async fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (pathname === "/-/reads") return Response.json(reads);
    if (pathname === "/-/deliveries") return Response.json(deliveries);
    if (pathname === "/-/faults") {
      faults = await request.json();
      return new Response(null, { status: 204 });
    }
    return worker.fetch(request, withFaults(env), context);
  },
  queue: ({ queue, messages }, env, context) => worker.queue({ queue, messages: messages.map(withShortDelay) }, withFaults(env), context),
  scheduled: (event, env, context) => worker.scheduled(event, withFaults(env), context),
};

// Recovery after an instance of the Wasm module has ended (edge/src/worker/recovery.rs): rejects its pending requests and marks
// it, so that the next call creates a new instance. This is JavaScript because the instance can no longer run code.

/** The functions that reject the promises of requests that wait for the current instance. */
const pending = new Set();

/** Whether the current instance has ended by a panic or another trap. */
let ended = false;

/** Marks the current instance as ended and rejects all requests that wait for it. */
export function instanceEnded() {
  ended = true;
  const rejects = [...pending];
  pending.clear();
  for (const reject of rejects) reject(new Error("the instance has ended"));
}

/** Returns whether the current instance has ended. */
export const hasEnded = () => ended;

/** Returns whether the instance has ended since the last call, and resets the mark. */
export function takeEnded() {
  const before = ended;
  ended = false;
  return before;
}

/**
 * For how long a request waits for the instance at most, in milliseconds. Longer than the timeouts of everything that a request calls
 * together, so that it ends only what nothing else does.
 */
const LONGEST_WAIT = 120_000;

/** Settles as `promise` does. Rejects as soon as the instance that would settle `promise` ends. */
export async function whileInstanceLives(promise) {
  let rejectWaiting;
  const ended = new Promise((_, reject) => {
    rejectWaiting = reject;
  });
  pending.add(rejectWaiting);
  // The runtime cancels a request that waits for nothing of its own, because its code seems to hang. After the end of the instance that is
  // so from the completion of the request's last operation until the rejection arrives, which comes from another request. A timer is an
  // operation, too.
  const timer = setTimeout(rejectWaiting, LONGEST_WAIT, new Error("the instance has not answered"));
  try {
    return await Promise.race([promise, ended]);
  } finally {
    // Here and not where the rejection begins: timers are numbered in each request, and that is another one.
    clearTimeout(timer);
    pending.delete(rejectWaiting);
  }
}

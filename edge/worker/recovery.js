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

/** Returns a promise that settles as `promise` does. It rejects as soon as the instance that would settle `promise` ends. */
export function whileInstanceLives(promise) {
  return new Promise((resolve, reject) => {
    pending.add(reject);
    promise.then(
      (value) => {
        pending.delete(reject);
        resolve(value);
      },
      (error) => {
        pending.delete(reject);
        reject(error);
      },
    );
  });
}

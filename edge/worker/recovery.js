// Ends the requests of an instance of the Wasm module that has ended, and has the next call create a new instance
// (edge/src/worker/recovery.rs). In JavaScript, because the instance can run no code any more.

/** Requests that wait for the present instance: how to end each. */
const waiting = new Set();

/** Whether the present instance has ended, by a panic or another trap. */
let ended = false;

export function instanceEnded() {
  ended = true;
  const ends = [...waiting];
  waiting.clear();
  for (const end of ends) end(new Error("the instance has ended"));
}

/** Whether the present instance has ended. */
export const hasEnded = () => ended;

/** Whether the instance has ended since the last call. */
export function takeEnded() {
  const before = ended;
  ended = false;
  return before;
}

/** `promise`, or a rejection as soon as the instance that would settle it has ended. */
export function whileInstanceLives(promise) {
  return new Promise((resolve, reject) => {
    waiting.add(reject);
    promise.then(
      (value) => {
        waiting.delete(reject);
        resolve(value);
      },
      (error) => {
        waiting.delete(reject);
        reject(error);
      },
    );
  });
}

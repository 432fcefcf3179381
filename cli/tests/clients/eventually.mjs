// Waiting for a condition.

/** Much longer than anything in a test takes; only a defect makes a test wait this long. */
const TIMEOUT_MILLISECONDS = 120_000;
const PAUSE_MILLISECONDS = 50;

/** Calls `probe` until it returns something other than `undefined`, and returns that. */
export async function eventually(what, probe) {
  const deadline = Date.now() + TIMEOUT_MILLISECONDS;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`this did not become true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MILLISECONDS));
  }
}

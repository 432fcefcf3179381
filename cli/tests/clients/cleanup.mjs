// What a test has started, and how it is stopped.

/** Returns a function that registers a step for the end of the test `t`. The steps run in reverse order, all of them. */
export function atTheEndOf(t) {
  const steps = [];
  t.after(async () => {
    const errors = [];
    for (const step of steps.toReversed()) await Promise.resolve().then(step).catch((error) => errors.push(error));
    if (errors.length > 0) throw errors.length === 1 ? errors[0] : new AggregateError(errors);
  });
  return (step) => steps.push(step);
}

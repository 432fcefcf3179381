// Single operations, repeated inside of workerd: `GET /?operation=…&count=…` performs one `count` times. A clock inside
// would stand still in production's workerd, so the time is taken outside, less that of a count of 0.

/** A Worker that performs these operations: functions of a count and the bindings, which answer a checksum. */
export function perform(operations) {
  return {
    async fetch(request, env) {
      const { searchParams } = new URL(request.url);
      const name = searchParams.get("operation");
      const count = Number(searchParams.get("count"));
      if (!Object.hasOwn(operations, name) || !Number.isInteger(count)) {
        return new Response(`no operation ${name} with count ${searchParams.get("count")}\n`, { status: 404 });
      }
      return new Response(String(await operations[name](count, env)));
    },
  };
}

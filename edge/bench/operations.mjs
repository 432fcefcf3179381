// Single operations, repeated inside workerd: `GET /?operation=…&count=…` performs one `count` times. The clock inside workerd does
// not advance during a request, so the client measures the time and subtracts the time of a request with a count of 0.

/** Returns a Worker that performs these operations: functions of a count and the bindings, which return a checksum. */
export function perform(operations) {
  return {
    async fetch(request, env) {
      const { searchParams } = new URL(request.url);
      const name = searchParams.get("operation");
      const count = Number(searchParams.get("count"));
      if (!Object.hasOwn(operations, name) || !Number.isInteger(count)) {
        return new Response(`there is no operation ${name} with the count ${searchParams.get("count")}\n`, { status: 404 });
      }
      return new Response(String(await operations[name](count, env)));
    },
  };
}

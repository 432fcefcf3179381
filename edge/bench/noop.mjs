// A Worker that does nothing, to measure the start of the runtime.
export default {
  fetch: () => new Response("ok"),
};

// What comes in, checked.
const MAX_BODY_BYTES = 64 * 1024;

/** An answer that is a refusal. */
export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The body as an object that has no other fields than `known`. Nothing is the same as `{}`. */
export async function readJson(request, known) {
  const type = request.headers.get("content-type");
  if (type !== null && !/^application\/json\s*(;|$)/i.test(type)) throw new Refused(415, "content-type must be application/json");
  const body = await request.text();
  if (body.length > MAX_BODY_BYTES) throw new Refused(413, "the body is too large");
  if (body === "") return {};
  let json;
  try {
    json = JSON.parse(body);
  } catch {
    throw new Refused(400, "the body is not JSON");
  }
  if (json === null || typeof json !== "object" || Array.isArray(json)) throw new Refused(400, "the body is not an object");
  for (const name of Object.keys(json)) {
    if (!known.includes(name)) throw new Refused(400, `${name} is not a field of this call`);
  }
  return json;
}

/** A text, or nothing. */
export function text(asked, name) {
  const value = asked[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw new Refused(400, `${name} must be a text`);
  return value;
}

/** A number of seconds up to `max`, or `otherwise`. */
export function seconds(asked, name, otherwise, max) {
  const value = asked[name] ?? otherwise;
  if (!Number.isInteger(value) || value < 1 || value > max) throw new Refused(400, `${name} must be 1 to ${max} seconds`);
  return value;
}

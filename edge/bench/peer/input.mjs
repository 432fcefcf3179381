// Validation of request bodies and their fields.
const MAX_BODY_BYTES = 64 * 1024;

/** An error response with its status. */
export class HttpError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** Parses the body as an object that has only fields in `known`. An empty body counts as `{}`. */
export async function readJson(request, known) {
  const type = request.headers.get("content-type");
  if (type !== null && !/^application\/json\s*(;|$)/i.test(type)) throw new HttpError(415, "content-type must be application/json");
  const body = await request.text();
  if (body.length > MAX_BODY_BYTES) throw new HttpError(413, "the body is too large");
  if (body === "") return {};
  let json;
  try {
    json = JSON.parse(body);
  } catch {
    throw new HttpError(400, "the body is not JSON");
  }
  if (json === null || typeof json !== "object" || Array.isArray(json)) throw new HttpError(400, "the body is not an object");
  for (const name of Object.keys(json)) {
    if (!known.includes(name)) throw new HttpError(400, `${name} is not a field of this call`);
  }
  return json;
}

/** Returns a text field, or `undefined` if it is absent. */
export function text(fields, name) {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw new HttpError(400, `${name} must be a text`);
  return value;
}

/** Returns a field that is a number of seconds from 1 to `max`, or `defaultValue` if it is absent. */
export function seconds(fields, name, defaultValue, max) {
  const value = fields[name] ?? defaultValue;
  if (!Number.isInteger(value) || value < 1 || value > max) throw new HttpError(400, `${name} must be 1 to ${max} seconds`);
  return value;
}

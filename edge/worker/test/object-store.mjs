// A fake RAW bucket. It accepts PUT requests with a valid signed URL, and creates multipart uploads for signed requests.
import { listen } from "./listener.mjs";
import { signatureError, urlSignatureError } from "./sigv4.mjs";

export async function startObjectStore(keys) {
  const store = { objects: new Map(), multipartUploads: [], refusals: [], signatures: [] };
  const refused = (reason) => {
    store.refusals.push(reason);
    return { status: 403, body: `<Error><Code>SignatureDoesNotMatch</Code><Message>${reason}</Message></Error>` };
  };
  const listener = await listen((request) => {
    const url = new URL(request.url, "http://unused");
    if (request.method === "POST" && url.searchParams.has("uploads")) {
      store.signatures.push(/Signature=([0-9a-f]+)/.exec(request.headers.authorization)?.[1]);
      const reason = signatureError(request, { ...keys, service: "s3" });
      if (reason !== undefined) return refused(reason);
      store.multipartUploads.push(url.pathname);
      return { body: `<InitiateMultipartUploadResult><UploadId>upload-${store.multipartUploads.length}</UploadId></InitiateMultipartUploadResult>` };
    }
    if (request.method !== "PUT") return { status: 405, body: "<Error><Code>MethodNotAllowed</Code></Error>" };
    const reason = urlSignatureError(request, keys);
    if (reason !== undefined) return refused(reason);
    store.objects.set(decodeURIComponent(url.pathname), request.body);
    return { status: 200 };
  });
  return Object.assign(store, { url: listener.url, errors: listener.errors, close: listener.close });
}

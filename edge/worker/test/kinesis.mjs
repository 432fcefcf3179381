// A fake Kinesis stream with PutRecords, whose requests can be made to fail.
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
import { json, listen, sleep } from "./listener.mjs";
import { signatureError } from "./sigv4.mjs";

const TYPE = "application/x-amz-json-1.1";
const THROTTLED = "ProvisionedThroughputExceededException";

/** The outcomes of a request. Each returns the response of Kinesis; `store` appends a record to the stream. */
const outcomes = {
  accepted: (records, store) => putResponse(records.map((record) => putResult(store(record)))),
  /** The whole request is throttled. */
  throttled: () => json({ __type: `com.amazonaws.kinesis#${THROTTLED}`, message: "Rate exceeded" }, 400, TYPE),
  /** The service fails with the error page of a proxy. */
  failed: () => ({ status: 503, headers: { "content-type": "text/html" }, body: "<html>Service Unavailable</html>" }),
  /** Every second record is refused, including the first one. */
  partial: (records, store) =>
    putResponse(records.map((record, index) => (index % 2 === 1 ? putResult(store(record)) : { ErrorCode: THROTTLED, ErrorMessage: "Rate exceeded" }))),
  /** All records are stored, and the connection is closed without a response. */
  lost: (records, store) => void records.forEach(store),
  /** All records are stored, and the response is incomplete. */
  garbled: (records, store) => {
    records.forEach(store);
    return { status: 200, headers: { "content-type": TYPE }, body: '{"FailedRecordCount":0,"Records":[' };
  },
  /** No record is stored, and the connection is closed without a response. */
  down: () => undefined,
};

export async function startKinesis(keys, streamName) {
  const kinesis = {
    /** The records of the stream in order, each a fact and its partition key. */
    records: [],
    /** The number of requests with each outcome. */
    counts: Object.fromEntries(Object.keys(outcomes).map((name) => [name, 0])),
    /** The number of records in all requests, stored or not. */
    received: 0,
    /** The reasons for which requests were refused. */
    refusals: [],
    /** The signatures of all requests. */
    signatures: [],
    /** The delay of each response, in milliseconds. */
    delay: 0,
    /** The outcomes of the next requests. */
    next: [],
    /** The outcome of all other requests. */
    always: "accepted",
  };
  const store = ({ Data, PartitionKey }) => {
    kinesis.records.push({ fact: JSON.parse(Buffer.from(Data, "base64")), partitionKey: PartitionKey });
    return kinesis.records.length;
  };
  const listener = await listen(async (request) => {
    kinesis.signatures.push(/Signature=([0-9a-f]+)/.exec(request.headers.authorization)?.[1]);
    const reason = signatureError(request, { ...keys, service: "kinesis" }) ?? requestError(request, streamName);
    if (reason !== undefined) {
      kinesis.refusals.push(reason);
      return json({ __type: "AccessDeniedException", message: reason }, 400, TYPE);
    }
    const outcome = kinesis.next.shift() ?? kinesis.always;
    const { Records } = JSON.parse(request.body);
    kinesis.counts[outcome] += 1;
    kinesis.received += Records.length;
    if (kinesis.delay > 0) await sleep(kinesis.delay);
    return outcomes[outcome](Records, store);
  });
  return Object.assign(kinesis, { url: listener.url, errors: listener.errors, close: listener.close });
}

/** Returns why a request is invalid, or `undefined` if it is valid. */
function requestError({ method, url, headers, body }, streamName) {
  if (method !== "POST" || url !== "/") return `there is no ${method} ${url}`;
  if (headers["x-amz-target"] !== "Kinesis_20131202.PutRecords") return "the operation is not PutRecords";
  if (headers["content-type"] !== TYPE) return "the content-type is wrong";
  const { StreamName, Records } = JSON.parse(body);
  if (StreamName !== streamName) return "the name of the stream is wrong";
  if (!(Records.length >= 1 && Records.length <= 500)) return `${Records.length} records`;
  return undefined;
}

const putResult = (number) => ({ SequenceNumber: `49${String(number).padStart(54, "0")}`, ShardId: "shardId-000000000000" });

const putResponse = (records) =>
  json({ FailedRecordCount: records.filter((it) => it.ErrorCode !== undefined).length, Records: records }, 200, TYPE);

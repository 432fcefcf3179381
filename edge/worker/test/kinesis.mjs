// A stream of Kinesis that speaks PutRecords and fails as it is told to.
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
import { json, listen, pause } from "./listener.mjs";
import { refusal } from "./sigv4.mjs";

const TYPE = "application/x-amz-json-1.1";
const THROTTLED = "ProvisionedThroughputExceededException";

/** What may become of a request. Each takes it, and answers as Kinesis would; `take` puts records into the stream. */
const outcomes = {
  accepted: (records, take) => put(records.map((record) => taken(take(record)))),
  /** The whole request is refused for now. */
  throttled: () => json({ __type: `com.amazonaws.kinesis#${THROTTLED}`, message: "Rate exceeded" }, 400, TYPE),
  /** The service itself fails, in the words of something in front of it. */
  failed: () => ({ status: 503, headers: { "content-type": "text/html" }, body: "<html>Service Unavailable</html>" }),
  /** Every second record is refused, the first one included. */
  partly: (records, take) =>
    put(records.map((record, index) => (index % 2 === 1 ? taken(take(record)) : { ErrorCode: THROTTLED, ErrorMessage: "Rate exceeded" }))),
  /** Everything is taken, and the answer is lost. */
  lost: (records, take) => void records.forEach(take),
  /** Everything is taken, and the answer is of no use. */
  garbled: (records, take) => {
    records.forEach(take);
    return { status: 200, headers: { "content-type": TYPE }, body: '{"FailedRecordCount":0,"Records":[' };
  },
  /** Nobody answers. */
  down: () => undefined,
};

export async function startKinesis(keys, streamName) {
  const kinesis = {
    /** What is in the stream, in order: the fact, and the partition key it came with. */
    records: [],
    /** How many requests had each outcome. */
    had: Object.fromEntries(Object.keys(outcomes).map((name) => [name, 0])),
    /** How many records these requests had, whatever became of them. */
    asked: 0,
    /** Requests that were not as they must be, and why. */
    refusals: [],
    /** Every signature that was seen. */
    signatures: [],
    /** Milliseconds before each answer. */
    delay: 0,
    /** Outcomes of the next requests. */
    next: [],
    /** The outcome of all others. */
    always: "accepted",
  };
  const take = ({ Data, PartitionKey }) => {
    kinesis.records.push({ fact: JSON.parse(Buffer.from(Data, "base64")), partitionKey: PartitionKey });
    return kinesis.records.length;
  };
  const listener = await listen(async (request) => {
    kinesis.signatures.push(/Signature=([0-9a-f]+)/.exec(request.headers.authorization)?.[1]);
    const reason = refusal(request, { ...keys, service: "kinesis" }) ?? misuse(request, streamName);
    if (reason !== undefined) {
      kinesis.refusals.push(reason);
      return json({ __type: "AccessDeniedException", message: reason }, 400, TYPE);
    }
    const outcome = kinesis.next.shift() ?? kinesis.always;
    const { Records } = JSON.parse(request.body);
    kinesis.had[outcome] += 1;
    kinesis.asked += Records.length;
    if (kinesis.delay > 0) await pause(kinesis.delay);
    return outcomes[outcome](Records, take);
  });
  return Object.assign(kinesis, { url: listener.url, faults: listener.faults, close: listener.close });
}

function misuse({ method, url, headers, body }, streamName) {
  if (method !== "POST" || url !== "/") return `there is no ${method} ${url}`;
  if (headers["x-amz-target"] !== "Kinesis_20131202.PutRecords") return "another operation";
  if (headers["content-type"] !== TYPE) return "another type of content";
  const { StreamName, Records } = JSON.parse(body);
  if (StreamName !== streamName) return "another stream";
  if (!(Records.length >= 1 && Records.length <= 500)) return `${Records.length} records`;
  return undefined;
}

const taken = (number) => ({ SequenceNumber: `49${String(number).padStart(54, "0")}`, ShardId: "shardId-000000000000" });

const put = (records) =>
  json({ FailedRecordCount: records.filter((it) => it.ErrorCode !== undefined).length, Records: records }, 200, TYPE);

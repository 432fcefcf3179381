//! What AWS documents as limits, for one account in one region, before an increase.

/// Writes a second of one partition key of DynamoDB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>).
pub const PARTITION_WRITES: f64 = 1000.0;

/// Reads a second of one partition key of DynamoDB.
pub const PARTITION_READS: f64 = 3000.0;

/// Writes a second of one table billed per request
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>).
pub const TABLE_WRITES: f64 = 40_000.0;

/// Records a second of a shard of Kinesis (<https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html>).
pub const SHARD_RECORDS: f64 = 1000.0;

/// Bytes a second of a shard of Kinesis.
pub const SHARD_BYTES: f64 = 1_000_000.0;

/// Concurrent invocations of Lambda (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
pub const CONCURRENT_INVOCATIONS: f64 = 1000.0;

/// Tasks a second that Fargate launches (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html>).
pub const LAUNCHES: f64 = 20.0;

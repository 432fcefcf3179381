//! AWS's list prices in us-east-1, in US dollars, on demand, without free tiers and discounts, on 2026-11-29.

/// The day of the prices.
pub const DATE: &str = "2026-11-29";

/// A million write units of DynamoDB (<https://aws.amazon.com/dynamodb/pricing/on-demand/>).
pub const WRITES: f64 = 0.625;

/// A million read units of DynamoDB.
pub const READS: f64 = 0.125;

/// An hour of a shard of Kinesis (<https://aws.amazon.com/kinesis/data-streams/pricing/>).
pub const SHARD_HOUR: f64 = 0.015;

/// A million records of at most 25 KB put into Kinesis.
pub const RECORDS: f64 = 0.014;

/// A million invocations of Lambda (<https://aws.amazon.com/lambda/pricing/>).
pub const INVOCATIONS: f64 = 0.20;

/// A GB-second of Lambda on Arm.
pub const GB_SECOND: f64 = 0.000_013_333_4;

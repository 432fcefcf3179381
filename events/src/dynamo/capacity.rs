use std::ops::Add;

use aws_sdk_dynamodb::types::ConsumedCapacity;

/// Consumed capacity, in DynamoDB's request units.
///
/// A write unit is 1 KB written; a read unit is 4 KB read with strong consistency
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Capacity {
    /// By reads.
    pub read_units: f64,
    /// By writes.
    pub write_units: f64,
}

impl Capacity {
    pub(super) fn of_read(consumed: Option<&ConsumedCapacity>) -> Self {
        Self { read_units: units(consumed), write_units: 0.0 }
    }

    pub(super) fn of_write(consumed: Option<&ConsumedCapacity>) -> Self {
        Self { read_units: 0.0, write_units: units(consumed) }
    }
}

fn units(consumed: Option<&ConsumedCapacity>) -> f64 {
    consumed.and_then(ConsumedCapacity::capacity_units).unwrap_or(0.0)
}

impl Add for Capacity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            read_units: self.read_units + other.read_units,
            write_units: self.write_units + other.write_units,
        }
    }
}

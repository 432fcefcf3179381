//! Events in the form of AWS, and the region that they are from.

use serde_json::Value;
use streamio_core::testing::TestRegion;
use streamio_events::timestamp::Timestamp;
use streamio_lambdas::runtime::metrics::Counts;

/// A time after the start of the test region.
pub(crate) fn clock() -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_100)
}

pub(crate) fn payload(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn notification() -> Value {
    payload(include_str!("../payloads/s3_notification.json"))
}

pub(crate) fn eventbridge() -> Value {
    payload(include_str!("../payloads/s3_eventbridge.json"))
}

pub(crate) async fn test_region() -> TestRegion {
    let mut region = TestRegion::with_project().await;
    "streamio-raw".clone_into(&mut region.policy.raw_bucket);
    region
}

pub(crate) fn handled(handled: usize) -> Counts {
    Counts { handled, ..Counts::default() }
}

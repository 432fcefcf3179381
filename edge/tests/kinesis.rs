//! The feeder against a stream that fails in every way: nothing accepted is lost, and nothing is twice but what must be.

#[path = "kinesis/laws.rs"]
mod laws;
#[path = "kinesis/outage.rs"]
mod outage;
#[path = "kinesis/simulated.rs"]
mod simulated;

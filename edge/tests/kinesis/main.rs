//! The feeder against a stream that fails in every way: nothing accepted is lost, and nothing is twice but what must be.

mod laws;
mod outage;
mod simulated;

//! The feeder against a simulated stream that fails in every way: no accepted message is lost, and none is duplicated
//! unless a response was lost.

mod outage;
mod properties;
mod simulated;

//! The replicated directory in a simulated environment: isolates in several locations, a key-value store that is stale,
//! unreadable or down, a home region that may be down, and a clock that the tests advance.

mod api;
mod call_counts;
mod invented_keys;
mod outage;
mod properties;
mod simulation;
mod sources;
mod test_directory;

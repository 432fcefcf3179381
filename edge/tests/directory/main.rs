//! The replicated directory in a simulated world: isolates in several places, a key-value store that is late, wrong or
//! down, a home region that may be down, and a clock that the tests move.

mod api;
mod counts;
mod junk;
mod laws;
mod outage;
mod simulation;
mod sources;
mod world;

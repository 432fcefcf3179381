//! The replicated directory in a simulated world: isolates in several places, a key-value store that is late, wrong or
//! down, a home region that may be down, and a clock that the tests move.

#[path = "directory/api.rs"]
mod api;
#[path = "directory/counts.rs"]
mod counts;
#[path = "directory/junk.rs"]
mod junk;
#[path = "directory/laws.rs"]
mod laws;
#[path = "directory/outage.rs"]
mod outage;
#[path = "directory/simulation.rs"]
mod simulation;
#[path = "directory/sources.rs"]
mod sources;
#[path = "directory/world.rs"]
mod world;

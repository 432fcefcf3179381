//! Videos go through the emulated cloud, from the grant at the edge to the last frame from the CDN, while everything that
//! may fail does. Whatever happens, [`verdict`] holds at the end.
//!
//! What AWS guarantees, what is done about the rest, and which test shows it stands in `lambdas/README.md`.

#[path = "scenarios/clip.rs"]
mod clip;
#[path = "scenarios/functions.rs"]
mod functions;
#[path = "scenarios/grants.rs"]
mod grants;
#[path = "scenarios/keys.rs"]
mod keys;
#[path = "scenarios/launches.rs"]
mod launches;
#[path = "scenarios/ledger.rs"]
mod ledger;
#[path = "scenarios/life.rs"]
mod life;
#[path = "scenarios/play.rs"]
mod play;
#[path = "scenarios/poison.rs"]
mod poison;
#[path = "scenarios/processes.rs"]
mod processes;
#[path = "scenarios/program.rs"]
mod program;
#[path = "scenarios/table.rs"]
mod table;
#[path = "scenarios/uploads.rs"]
mod uploads;
#[path = "scenarios/verdict.rs"]
mod verdict;
#[path = "scenarios/workers.rs"]
mod workers;
#[path = "scenarios/world.rs"]
mod world;

//! Videos go through the emulated cloud, from the grant at the edge to the last frame from the CDN, while everything that
//! may fail does. Whatever happens, [`verdict`] holds at the end.
//!
//! What AWS guarantees, what is done about the rest, and which test shows it stands in `lambdas/README.md`.

mod clip;
mod functions;
mod grants;
mod keys;
mod launches;
mod ledger;
mod life;
mod play;
mod poison;
mod processes;
mod program;
mod table;
mod uploads;
mod verdict;
mod workers;
mod world;

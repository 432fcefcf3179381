//! Scenarios on the emulated cloud: videos are processed from the grant at the edge to the last frame from the CDN, while
//! faults are injected. Every scenario ends with [`test_cloud::TestCloud::finish`], which checks the [`final_state`].
//!
//! `lambdas/README.md` lists what AWS guarantees, how Streamio handles the rest, and the scenario for each guarantee.

mod capacity;
mod clips;
mod dead_letters;
mod encode_limits;
mod ffmpeg_gate;
mod final_state;
mod final_webhooks;
mod functions;
mod grants;
mod guarantees_table;
mod keys;
mod launches;
mod ledger;
mod lifecycle;
mod operator;
mod operator_webhooks;
mod outages;
mod play;
mod poison;
mod processes;
mod program;
mod test_cloud;
mod uploads;
mod versions;
mod webhook_replays;
mod webhooks;
mod workers;

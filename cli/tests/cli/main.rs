//! The `streamio` program, started as a process against a fake API or a real data directory.

mod audit;
#[cfg(feature = "aws")]
mod aws;
mod backup;
mod blank_variables;
mod dead_letters;
mod delete;
mod events;
mod fake_server;
mod feed;
mod help;
mod multipart;
mod operator;
mod permissions;
mod playback;
mod playback_url;
mod precedence;
mod problems;
mod replay;
mod run;
mod store;
mod terminal;
mod unicode;
mod up;
mod upload;
mod video;
mod wait;
mod webhook;
mod webhook_deliveries;
mod webhook_replays;

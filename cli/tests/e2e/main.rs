//! The whole platform, end to end: the `streamio` program, real FFmpeg workers, and requests over HTTP.

mod audit;
mod clip;
#[cfg(target_os = "linux")]
mod clock;
mod commands;
mod crash;
mod dead_letters;
mod harness;
mod lifecycle;
mod log;
mod media;
mod outage;
mod play;
mod processes;
mod webhooks;
mod workerd;

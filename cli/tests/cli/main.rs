//! The `streamio` program, started as a process against a fake API or a real data directory.

mod blank_variables;
mod events;
mod fake_server;
mod help;
mod multipart;
mod operator;
mod problems;
mod run;
mod up;
mod upload;
mod video;
mod wait;

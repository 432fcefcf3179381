//! The worker with real FFmpeg, storage in a directory, and a log in memory.

mod clip;
mod directory_storage;
mod platform;
mod player;
mod ready;
mod s3_server;

mod acceptance;
mod ecs;
mod faults;
mod fencing;
mod hostile;
mod image;
mod program;
mod progressive;
mod refusals;
mod storage;

//! The worker with real FFmpeg. Most tests run it in process, with storage in a directory and a log in memory; `program` and
//! `ecs` start the program.

mod clip;
mod directory_storage;
mod harness;
mod inspect;
mod measure;
mod memory;
mod processes;
mod published;
mod s3_server;

mod acceptance;
mod attacks;
mod changes;
mod channels;
mod color;
mod damage;
mod dockerfile;
mod ecs;
mod ends;
mod faults;
mod fencing;
mod format_changes;
mod generator;
mod hostile;
mod isolation;
mod posters;
mod program;
mod progressive;
mod refusals;
mod segments;
mod storage_contract;
mod timeline;
mod truth;
mod wrong_times;

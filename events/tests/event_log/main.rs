//! The adapters of the event log against its contract, and the frozen fixtures of every event type.

mod audit;
mod cloud_events;
mod commits;
mod dynamo;
mod dynamo_capacity;
mod dynamo_damage;
mod dynamo_faults;
mod dynamo_replay;
mod emulators;
mod facts;
mod faults;
mod fixtures;
mod home;
mod kinesis;
mod kinesis_harness;
mod memory;
mod proxy;
mod samples;
mod sqlite;
mod sqlite_damage;
mod sqlite_feed;
mod sqlite_locks;
mod sqlite_places;
mod sqlite_processes;

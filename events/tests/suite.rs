//! The event log's adapters against their contract, and the frozen fixtures of every event type.

#[path = "suite/audit.rs"]
mod audit;
#[path = "suite/cloud_events.rs"]
mod cloud_events;
#[path = "suite/commits.rs"]
mod commits;
#[path = "suite/dynamo.rs"]
mod dynamo;
#[path = "suite/dynamo_capacity.rs"]
mod dynamo_capacity;
#[path = "suite/dynamo_damage.rs"]
mod dynamo_damage;
#[path = "suite/dynamo_faults.rs"]
mod dynamo_faults;
#[path = "suite/dynamo_replay.rs"]
mod dynamo_replay;
#[path = "suite/emulators.rs"]
mod emulators;
#[path = "suite/facts.rs"]
mod facts;
#[path = "suite/faults.rs"]
mod faults;
#[path = "suite/fixtures.rs"]
mod fixtures;
#[path = "suite/home.rs"]
mod home;
#[path = "suite/intake.rs"]
mod intake;
#[path = "suite/kinesis.rs"]
mod kinesis;
#[path = "suite/memory.rs"]
mod memory;
#[path = "suite/proxy.rs"]
mod proxy;
#[path = "suite/sqlite.rs"]
mod sqlite;
#[path = "suite/sqlite_damage.rs"]
mod sqlite_damage;
#[path = "suite/sqlite_feed.rs"]
mod sqlite_feed;
#[path = "suite/sqlite_locks.rs"]
mod sqlite_locks;
#[path = "suite/sqlite_processes.rs"]
mod sqlite_processes;

//! The traits through which the application reaches everything outside of the log.

use streamio_events::timestamp::Timestamp;

pub mod dead_letters;
pub mod delivery_queue;
pub mod delivery_store;
pub mod encode_slots;
pub mod feed_hashes;
pub mod kv_namespace;
pub mod object_store;
pub mod pending_replications;
pub mod project_feed;
pub mod task_launcher;
pub mod tenant_store;
pub mod tile_reader;
pub mod tile_store;
pub mod usage_store;
pub mod view_store;
pub mod webhook_sender;

/// An adapter's error, with its causes.
pub type AdapterError = Box<dyn std::error::Error + Send + Sync>;

/// Returns the current time.
pub type Clock<'a> = &'a (dyn Fn() -> Timestamp + Send + Sync);

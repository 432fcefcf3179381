//! A region in memory whose ports record their calls, for tests of the application and of its adapters.

mod dead_letters;
mod delivery_store;
mod encode_slots;
mod fixtures;
mod object_store;
mod pending_replications;
mod project_feed;
mod region;
mod task_launcher;
mod tile_store;
mod unavailable_log;
mod usage_store;
mod view_store;

pub use self::dead_letters::MemoryDeadLetters;
pub use self::delivery_store::MemoryDeliveries;
pub use self::encode_slots::MemorySlots;
pub use self::fixtures::{ids, key, notification, outputs, source, start_time, stream, version};
pub use self::object_store::MemoryObjects;
pub use self::pending_replications::MemoryPending;
pub use self::project_feed::MemoryFeed;
pub use self::region::{BOUNDS, TestRegion, grant};
pub use self::task_launcher::{EndedWorker, RecordingLauncher};
pub use self::tile_store::MemoryTiles;
pub use self::unavailable_log::UnavailableLog;
pub use self::usage_store::CountedUsage;
pub use self::view_store::MemoryViews;

//! The durable object store: metadata in SQLite, bytes in files.
//!
//! The order of a write: the bytes are written to a file with a random name; the file and its directory are synced; one
//! transaction makes the object visible and writes its event notification; then files that are no longer referenced are
//! removed. Before it commits, a manifest is written for each new version, from which a lost index can be rebuilt. A crash between any two steps leaves at most an unreferenced file, which the next start moves to `lost+found`.

mod blobs;
mod bucket;
mod check;
mod complete;
mod fault;
mod handle;
mod list;
mod list_versions;
mod lost_found;
mod manifests;
mod migrations;
mod multipart;
mod notifications;
mod object_rows;
mod read;
mod rebuild;
mod row;
mod schema;
mod space;
mod stage;
mod staged;
mod transaction;
mod versions;
mod write;

pub use self::bucket::{Bucket, Watch};
pub use self::check::{CheckOptions, CheckReport, IndexState, check};
pub use self::complete::CompletedPart;
pub use self::handle::{Store, StoreOptions};
pub use self::list::{ListRequest, Listing};
pub use self::list_versions::{VersionListRequest, VersionListing, VersionMarker};
pub(super) use self::multipart::check_part_number;
pub use self::multipart::{NewUpload, Part, Upload};
pub use self::read::{Object, ObjectReader};
pub use self::staged::Staged;
pub use self::write::CopiedVersion;

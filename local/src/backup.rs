//! Backing up a data directory, while a platform runs on it or not, and restoring it.
//!
//! A backup is a directory that has the layout of a data directory, without what is made again (the views, scratch files, `lost+found`),
//! and with `backup.json`. It is consistent over the log and the object store: an object that an event of the copied log names is in it,
//! and so is the event of an object that is not there any more, because both databases are read as they were at one moment, at which
//! nothing could be appended to the log (see `snapshot`).
//!
//! Of the transparency logs the signed checkpoints are copied, before the log is read, so that it has all of their commits. Tiles are not: the
//! platform computes them again from the commits, and compares their root with the checkpoint's.
//!
//! The files of objects never change once the index names them, so they are hard links where the file system allows it, and copies
//! otherwise. Everything is written below a temporary name, verified and synced before it gets its own name: a backup or a restored
//! data directory that exists is complete.

mod checkpoints;
mod contents;
mod create;
mod error;
mod files;
mod index;
mod manifest;
mod restore;
mod snapshot;
mod target;

use std::path::Path;
use std::sync::Arc;

pub use self::contents::Contents;
pub use self::create::back_up;
pub use self::error::BackupError;
pub use self::manifest::{Manifest, RecordedFile};
pub use self::restore::restore;

/// Receives the present step in words, and how many percent of the whole are done.
pub type Report = Arc<dyn Fn(&'static str, u64) + Send + Sync>;

/// The database of the log, in a data directory and in a backup.
const LOG: &str = "log.db";
/// The directory of the object store.
const STORE: &str = "s3";
/// The index of the object store.
const INDEX: &str = "s3/objects.db";
/// Small files that are copied if they exist: the generated keys; the ports, without which signed URLs would not stay valid; and the
/// host of the transparency logs.
const SMALL: [&str; 3] = [crate::data_dir::SECRETS, crate::platform::PORTS_FILE, crate::audit_log::SETTINGS];

/// Runs `work`, which blocks, on a thread for such work.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|stopped| {
        Err(error::io("finish the work on", Path::new(""))(std::io::Error::other(stopped)))
    })
}

//! The store's errors: what the caller did wrong, apart from what went wrong here.

use std::path::PathBuf;

use super::object::{MAX_KEY_BYTES, MAX_PUT_BYTES};

/// Why the store refused or failed. [`StoreError::is_internal`] tells the two apart.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The bucket does not exist.
    #[error("there is no bucket {bucket:?}; create it first")]
    NoSuchBucket {
        /// The name asked for.
        bucket: String,
    },
    /// The bucket's name breaks the naming rules.
    #[error(
        "{bucket:?} is no bucket name: use 3 to 63 of a-z, 0-9, '-' and '.', beginning and ending with a letter or digit"
    )]
    InvalidBucketName {
        /// The name asked for.
        bucket: String,
    },
    /// A bucket of that name exists already.
    #[error("the bucket {bucket:?} exists already")]
    BucketExists {
        /// The name asked for.
        bucket: String,
    },
    /// No object has that key.
    #[error("there is no object {key:?}")]
    NoSuchKey {
        /// The key asked for.
        key: String,
    },
    /// The key is not one that an object can have.
    #[error("invalid key: {reason}")]
    InvalidKey {
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The key is longer than 1,024 bytes of UTF-8.
    #[error("the key has {bytes} bytes of UTF-8; at most {MAX_KEY_BYTES} are allowed")]
    KeyTooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The multipart upload does not exist: never begun, aborted, or completed.
    #[error("there is no multipart upload {upload_id:?} of that key; it may have been completed or aborted")]
    NoSuchUpload {
        /// The id asked for.
        upload_id: String,
    },
    /// `If-Match` or `If-None-Match` did not hold when the write would have become visible.
    #[error("the {header} condition on {key:?} does not hold")]
    PreconditionFailed {
        /// The request header that carried the condition.
        header: &'static str,
        /// The key written to.
        key: String,
    },
    /// The body is larger than one request may carry.
    #[error("the body is larger than {MAX_PUT_BYTES} bytes; send it as a multipart upload")]
    TooLarge,
    /// A part other than the last is too small.
    #[error("part {number} has {size} bytes; every part but the last needs at least {minimum}")]
    PartTooSmall {
        /// The part's number.
        number: u32,
        /// Its size in bytes.
        size: u64,
        /// The smallest size allowed, in bytes.
        minimum: u64,
    },
    /// A part number outside 1..=10000.
    #[error("{number} is no part number: use 1 to 10000")]
    InvalidPartNumber {
        /// The number given.
        number: i64,
    },
    /// A listed part was not uploaded, or with another entity tag or checksum.
    #[error("part {number} {reason}")]
    InvalidPart {
        /// The part's number.
        number: u32,
        /// What does not fit.
        reason: &'static str,
    },
    /// The listed parts are not in ascending order.
    #[error("the parts must be listed in ascending order of their numbers")]
    InvalidPartOrder,
    /// The list of parts is empty.
    #[error("list at least one part to complete an upload")]
    NoParts,
    /// A digest or checksum given for the whole object differs from the computed one.
    #[error("the {name} given does not match the one computed over the data received")]
    DigestMismatch {
        /// Which digest.
        name: &'static str,
    },
    /// The size that the writer announced for the whole object differs from the sum of its parts.
    #[error("the upload has {found} bytes, not the announced {announced}")]
    SizeMismatch {
        /// Bytes announced.
        announced: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The body could not be read to its end.
    #[error("the body broke off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another process has the store open.
    #[error("the object store {} is in use by another process; stop it first", path.display())]
    InUse {
        /// The store's directory.
        path: PathBuf,
    },
    /// The database was written by a version of the software that this one does not know.
    #[error(
        "the object store has schema version {found}, this software knows up to {known}; use a newer version"
    )]
    SchemaTooNew {
        /// The version found.
        found: i64,
        /// The latest version known.
        known: i64,
    },
    /// The database failed.
    #[error("the object store's database failed")]
    Database(#[from] rusqlite::Error),
    /// The file system failed.
    #[error("the object store's files failed: {doing}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// Stored metadata cannot be read back.
    #[error("the object store's metadata is damaged: {what}")]
    Damaged {
        /// What cannot be read.
        what: String,
    },
    /// The runtime is shutting down, or a task of the store panicked.
    #[error("the object store's task did not finish")]
    Task(#[from] tokio::task::JoinError),
}

impl StoreError {
    /// Whether the failure is the store's own and not the caller's: worth a log line and a 5xx.
    pub fn is_internal(&self) -> bool {
        matches!(
            self,
            Self::InUse { .. }
                | Self::SchemaTooNew { .. }
                | Self::Database(_)
                | Self::Io { .. }
                | Self::Damaged { .. }
                | Self::Task(_)
        )
    }
}

/// Names what was being done when an I/O error came up.
pub(crate) trait Doing<T> {
    /// Turns the I/O error into a [`StoreError::Io`].
    fn doing(self, doing: &'static str) -> Result<T, StoreError>;
}

impl<T> Doing<T> for std::io::Result<T> {
    fn doing(self, doing: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { doing, source })
    }
}

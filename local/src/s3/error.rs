//! The store's errors: faults of the request, and internal errors.

use std::path::PathBuf;

use time::OffsetDateTime;

use super::limits::{MAX_KEY_BYTES, MAX_PUT_BYTES};

/// Why the store refused a request or failed. [`StoreError::is_internal`] distinguishes the two.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The bucket does not exist.
    #[error("there is no bucket {bucket:?}; create it first")]
    NoSuchBucket {
        /// The requested name.
        bucket: String,
    },
    /// The bucket's name breaks the naming rules.
    #[error(
        "{bucket:?} is not a valid bucket name: use 3 to 63 of a-z, 0-9, '-' and '.', beginning and ending with a letter or digit"
    )]
    InvalidBucketName {
        /// The requested name.
        bucket: String,
    },
    /// A bucket with this name already exists.
    #[error("the bucket {bucket:?} already exists")]
    BucketExists {
        /// The requested name.
        bucket: String,
    },
    /// No object has this key.
    #[error("there is no object {key:?}")]
    NoSuchKey {
        /// The requested key.
        key: String,
    },
    /// The key has no version with this id.
    #[error("there is no version {version_id:?} of the object {key:?}")]
    NoSuchVersion {
        /// The requested key.
        key: String,
        /// The requested version.
        version_id: String,
    },
    /// The version id cannot have been issued by this store.
    #[error("{version_id:?} is not a valid version id; use one that this server returned, or null")]
    InvalidVersionId {
        /// The requested version.
        version_id: String,
    },
    /// The requested version, or the newest one of the key, is a delete marker.
    #[error("{}", delete_marker_message(key, *.requested))]
    DeleteMarker {
        /// The requested key.
        key: String,
        /// The delete marker's version id.
        version_id: String,
        /// When it was created.
        last_modified: OffsetDateTime,
        /// Whether the request named this version.
        requested: bool,
    },
    /// Versioning cannot be switched off again, because the bucket may have several versions of an object.
    #[error("the versioning of the bucket {bucket:?} cannot be switched off; suspend it")]
    VersioningStays {
        /// The bucket's name.
        bucket: String,
    },
    /// The key is not allowed.
    #[error("invalid key: {reason}")]
    InvalidKey {
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// The key is longer than 1,024 bytes of UTF-8.
    #[error("the key has {bytes} bytes of UTF-8; at most {MAX_KEY_BYTES} are allowed")]
    KeyTooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The multipart upload does not exist: it was never created, or it was aborted or completed.
    #[error("there is no multipart upload {upload_id:?} for that key; it may have been completed or aborted")]
    NoSuchUpload {
        /// The requested id.
        upload_id: String,
    },
    /// `If-Match` or `If-None-Match` did not hold when the write was to be committed.
    #[error("the {header} condition on {key:?} does not hold")]
    PreconditionFailed {
        /// The request header that carried the condition.
        header: &'static str,
        /// The key written to.
        key: String,
    },
    /// The body is larger than [`MAX_PUT_BYTES`].
    #[error(
        "the body has {size} bytes, more than the {MAX_PUT_BYTES} allowed; send it as a multipart upload"
    )]
    TooLarge {
        /// The declared size, or that of what was received, in bytes.
        size: u64,
    },
    /// A part other than the last is too small.
    #[error("part {number} has {size} bytes; every part but the last needs at least {minimum}")]
    PartTooSmall {
        /// The part's number.
        number: u32,
        /// Its size in bytes.
        size: u64,
        /// The smallest size allowed, in bytes.
        minimum: u64,
        /// Its entity tag.
        etag: String,
    },
    /// A part number outside 1..=10000.
    #[error("{number} is not a valid part number: use 1 to 10000")]
    InvalidPartNumber {
        /// The requested number.
        number: i64,
    },
    /// A listed part was not uploaded, or it has another entity tag or checksum.
    #[error("part {number} {reason}")]
    InvalidPart {
        /// The multipart upload.
        upload_id: String,
        /// The part's number.
        number: u32,
        /// The entity tag in the list.
        etag: String,
        /// How it differs.
        reason: &'static str,
    },
    /// The listed parts are not in ascending order.
    #[error("the parts must be listed in ascending order of their numbers")]
    InvalidPartOrder,
    /// The list of parts is empty.
    #[error("list at least one part to complete an upload")]
    NoParts,
    /// A digest or checksum that the client gave for the whole object differs from the computed one.
    #[error("the given {name} does not match the one computed over the received data")]
    DigestMismatch {
        /// The name of the digest.
        name: &'static str,
        /// The digest that the client gave.
        expected: String,
        /// The digest of the received data.
        calculated: String,
    },
    /// Fewer or more bytes were received than the client declared.
    #[error("{received} bytes were received of the {declared} declared; send the body again")]
    Incomplete {
        /// The size that the client gave, in bytes.
        declared: u64,
        /// The received bytes.
        received: u64,
    },
    /// The size that the client gave for the whole object differs from the sum of its parts.
    #[error("the upload has {found} bytes, not the declared {declared}")]
    SizeMismatch {
        /// The size that the client gave, in bytes.
        declared: u64,
        /// The sum of the parts, in bytes.
        found: u64,
    },
    /// The file system has too little free space for a body.
    #[error(
        "the server has too little free disk space ({available} bytes, of which {reserve} stay free); try again when its operator has \
         made space"
    )]
    NoSpace {
        /// The free bytes.
        available: u64,
        /// The bytes that stay free.
        reserve: u64,
    },
    /// The request body could not be read to its end.
    #[error("the body could not be read to its end")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another process has the store open.
    #[error("the object store {} is in use by another process; stop it first", path.display())]
    InUse {
        /// The store's directory.
        path: PathBuf,
    },
    /// The database was written by a newer version of this software.
    #[error(
        "the object store has schema version {found}, but this version supports at most {known}; use a newer version"
    )]
    SchemaTooNew {
        /// The stored version.
        found: i64,
        /// The latest supported version.
        known: i64,
    },
    /// There are files of objects, and no index, or a new one, that says what they are.
    #[error(
        "the object store's index {} is missing or new, but files of objects exist; rebuild it with `streamio store check --repair`, \
         restore it from a backup, or move the whole directory away to begin with an empty store: nothing was changed", path.display()
    )]
    IndexMissing {
        /// The index.
        path: PathBuf,
    },
    /// The index is damaged.
    #[error("the object store's index {} is damaged ({what}); rebuild it with `streamio store check --repair`, or \
         restore it from a backup: nothing was changed", path.display())]
    IndexDamaged {
        /// The index.
        path: PathBuf,
        /// What SQLite found.
        what: String,
    },
    /// The index is older than the files: it was replaced by an earlier copy.
    #[error(
        "the object store's index {} is older than its files: it does not name {later}; rebuild it with `streamio store check --repair`: \
         nothing was changed", path.display()
    )]
    IndexOutdated {
        /// The index.
        path: PathBuf,
        /// A version that it does not name.
        later: String,
    },
    /// The database failed.
    #[error("the object store's database failed")]
    Database(#[from] rusqlite::Error),
    /// The file system failed.
    #[error("a file operation of the object store failed: {operation}")]
    Io {
        /// The operation, such as "creating a blob".
        operation: &'static str,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// Stored metadata cannot be read back, or a file of an object is missing or has another length.
    #[error("the object store is damaged: {what}")]
    Damaged {
        /// What is damaged.
        what: String,
    },
    /// The runtime is shutting down, or a task of the store panicked.
    #[error("the object store's task did not finish")]
    Task(#[from] tokio::task::JoinError),
}

impl StoreError {
    /// Whether the store failed, as opposed to refusing the request. Internal errors are logged and returned as 5xx.
    pub fn is_internal(&self) -> bool {
        matches!(
            self,
            Self::InUse { .. }
                | Self::IndexMissing { .. }
                | Self::IndexDamaged { .. }
                | Self::IndexOutdated { .. }
                | Self::SchemaTooNew { .. }
                | Self::Database(_)
                | Self::Io { .. }
                | Self::Damaged { .. }
                | Self::Task(_)
        )
    }
}

fn delete_marker_message(key: &str, requested: bool) -> String {
    if requested {
        format!("this version of {key:?} is a delete marker, which can only be deleted")
    } else {
        format!(
            "there is no object {key:?}: its newest version is a delete marker; name a version to read one before"
        )
    }
}

/// Adds the name of the operation to an I/O error.
pub(crate) trait IoContext<T> {
    /// Converts the error to a [`StoreError::Io`] of the given operation.
    fn io_context(self, operation: &'static str) -> Result<T, StoreError>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn io_context(self, operation: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { operation, source })
    }
}

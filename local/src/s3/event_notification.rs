//! Event notifications: one for each object created in a watched bucket. The platform detects finished uploads by them.

use std::fmt;

use time::OffsetDateTime;

/// The operation that created an object, as S3's event notifications name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreatedBy {
    /// `PutObject`.
    Put,
    /// `CompleteMultipartUpload`.
    CompleteMultipartUpload,
    /// `CopyObject`.
    Copy,
}

impl CreatedBy {
    /// The event name, such as `s3:ObjectCreated:Put`:
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html>.
    pub fn event_name(self) -> &'static str {
        match self {
            Self::Put => "s3:ObjectCreated:Put",
            Self::CompleteMultipartUpload => "s3:ObjectCreated:CompleteMultipartUpload",
            Self::Copy => "s3:ObjectCreated:Copy",
        }
    }

    pub(crate) fn from_event_name(name: &str) -> Option<Self> {
        [Self::Put, Self::CompleteMultipartUpload, Self::Copy]
            .into_iter()
            .find(|kind| kind.event_name() == name)
    }
}

impl fmt::Display for CreatedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.event_name())
    }
}

/// The event notification of one object that became visible in a watched bucket.
///
/// It is written in the transaction that made the object visible and kept until acknowledged, so delivery is at least
/// once: a reader that crashes between acting and acknowledging reads it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventNotification {
    /// Ascending in the order of the commits; pass it to [`Store::acknowledge`](super::Store::acknowledge).
    pub id: i64,
    /// The bucket.
    pub bucket: String,
    /// The key, neither percent- nor form-encoded.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag without quotes.
    pub etag: String,
    /// 16 upper-case hex digits, ascending per key.
    pub sequencer: String,
    /// The version that was created; `None` in a bucket that was never versioned.
    pub version_id: Option<String>,
    /// The object's content type, if its writer gave one.
    pub content_type: Option<String>,
    /// The operation that created it.
    pub created_by: CreatedBy,
    /// When the object became visible; equals its last-modified time.
    pub event_time: OffsetDateTime,
}

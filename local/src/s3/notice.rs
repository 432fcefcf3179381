//! The notice that an object was created: what the platform reads to learn of finished uploads.

use std::fmt;

use time::OffsetDateTime;

/// How an object came to be, as S3 names it in its event notifications.
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

/// One object became visible in a bucket that is watched. Written in the transaction that made it visible, and kept
/// until acknowledged, so it survives any crash; a reader that crashes between acting and acknowledging sees it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Ascending in the order of the commits; pass it to `acknowledge`.
    pub id: i64,
    /// The bucket.
    pub bucket: String,
    /// The key, literally: not percent- or form-encoded.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// Entity tag without quotes.
    pub etag: String,
    /// 16 upper-case hex digits, ascending per key.
    pub sequencer: String,
    /// The object's content type, if its writer gave one.
    pub content_type: Option<String>,
    /// How it was created; [`CreatedBy::event_name`] is S3's name of it.
    pub created_by: CreatedBy,
    /// When it became visible; equals the object's last-modified time.
    pub event_time: OffsetDateTime,
}

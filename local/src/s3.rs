//! The S3 server of the one-machine platform, and the object store beneath it.
//!
//! - [`Store`] keeps objects durably in one directory: metadata in SQLite, bytes in files. It is cheap to clone. The
//!   CDN and the reader of event notifications ([`EventNotification`]) use it in process.
//! - [`serve`] serves the S3 protocol over it on a listener: AWS Signature Version 4 on every request, CORS for
//!   browsers with presigned URLs, streaming in both directions with bounded memory.
//!
//! Guarantees of the store:
//!
//! 1. An object is visible completely or not at all, also after `kill -9` and power loss: its bytes are synced to disk
//!    before the transaction that makes it visible. Files that a crash leaves unreferenced are moved to `lost+found` at the
//!    next start. A lost index is rebuilt by [`check_store`].
//! 2. A write's [`Precondition`] is checked in that transaction: of concurrent writers of an absent key one succeeds.
//! 3. In a watched bucket that transaction also writes the event notification, which is kept until acknowledged.
//! 4. An object that is being read stays readable to its end while it is overwritten or deleted.
//! 5. In a bucket with [`Versioning::Enabled`] a write or delete removes no bytes: only
//!    [`Store::delete_version`] removes a version.

mod auth;
mod body;
pub mod checksum;
mod error;
mod event_notification;
mod limits;
mod object;
mod protocol;
mod refusal;
mod request_context;
mod serve;
mod service;
mod sigv4;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod version;

pub use auth::Credentials;
pub use error::StoreError;
pub use event_notification::{CreatedBy, EventNotification};
pub use limits::{MAX_KEY_BYTES, MAX_PUT_BYTES};
pub use object::{ObjectHeaders, ObjectMeta, Precondition, check_key};
pub use serve::serve;
pub use service::Config;
pub use store::{
    Bucket, CheckOptions, CheckReport, CompletedPart, CopiedVersion, IndexState, ListRequest, Listing,
    NewUpload, Object, ObjectReader, Part, Staged, Store, StoreOptions, Upload, VersionListRequest,
    VersionListing, VersionMarker, Watch, check as check_store,
};
pub use version::{Deleted, NULL_VERSION, ObjectVersion, Versioning};

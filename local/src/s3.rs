//! The S3 server of the one-machine platform, and the object store beneath it.
//!
//! - [`Store`] keeps objects durably in one directory: metadata in SQLite, bytes in files. It is cheap to clone and
//!   is used in process too, by the CDN that serves from it and by the reader of its [`Notice`]s.
//! - [`serve`] speaks the S3 protocol over it on a listener: AWS Signature Version 4 on every request, CORS for
//!   browsers with presigned URLs, streaming in both directions with bounded memory.
//!
//! What a reader of the store relies on:
//!
//! 1. An object is visible whole or not at all, also over `kill -9` and power loss: its bytes are on the disk before
//!    the transaction that makes it visible, and what a crash leaves behind unreferenced is swept at the next start.
//! 2. A write's [`Precondition`] is decided in that transaction: of concurrent writers of an absent key one succeeds.
//! 3. In a watched bucket that transaction also writes the [`Notice`], which stays until acknowledged.
//! 4. An object being read stays readable to its end while it is overwritten or deleted.

mod auth;
mod body;
pub mod checksum;
mod error;
mod notice;
mod object;
mod protocol;
mod serve;
mod service;
mod sigv4;
mod store;

pub use auth::Credentials;
pub use error::StoreError;
pub use notice::{CreatedBy, Notice};
pub use object::{MAX_KEY_BYTES, MAX_PUT_BYTES, ObjectHeaders, ObjectMeta, Precondition, check_key};
pub use serve::serve;
pub use service::Config;
pub use store::{
    Bucket, CompletedPart, ListRequest, Listing, NewUpload, Object, ObjectReader, Part, Staged, Store,
    StoreOptions, Upload, Watch,
};

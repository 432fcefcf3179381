//! The S3 server from the outside: a real listener, the AWS SDK as an independent client, an independent signer for
//! what a client may hold in its hands, and raw connections for what no client would send.

#[path = "s3/bodies.rs"]
mod bodies;
#[path = "s3/conditions.rs"]
mod conditions;
#[path = "s3/copies.rs"]
mod copies;
#[path = "s3/crash.rs"]
mod crash;
#[path = "s3/cross_origin.rs"]
mod cross_origin;
#[path = "s3/listing.rs"]
mod listing;
#[path = "s3/multipart.rs"]
mod multipart;
#[path = "s3/notices.rs"]
mod notices;
#[path = "s3/objects.rs"]
mod objects;
#[path = "s3/ranges.rs"]
mod ranges;
#[path = "s3/raw.rs"]
mod raw;
#[path = "s3/reading.rs"]
mod reading;
#[path = "s3/secrets.rs"]
mod secrets;
#[path = "s3/server.rs"]
mod server;
#[path = "s3/signatures.rs"]
mod signatures;
#[path = "s3/signer.rs"]
mod signer;
#[path = "s3/stopping.rs"]
mod stopping;

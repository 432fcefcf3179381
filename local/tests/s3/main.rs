//! Black-box tests of the S3 server on a TCP listener: with the AWS SDK as client, with an independent signer for
//! presigned URLs, and with raw connections for requests that no client library sends.

mod bodies;
mod check;
mod concurrent_reads;
mod conditions;
mod copies;
mod crash;
mod cross_origin;
mod event_notifications;
mod header_signatures;
mod listing;
mod logged_secrets;
mod migration;
mod multipart;
mod objects;
mod presigned_urls;
mod ranges;
mod raw;
mod refusals;
mod server;
mod shutdown;
mod signer;
mod space;
mod version_listing;
mod version_model;
mod versioned_server;
mod versions;

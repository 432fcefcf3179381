//! The S3 server from the outside: a real listener, the AWS SDK as an independent client, an independent signer for
//! what a client may hold in its hands, and raw connections for what no client would send.

mod bodies;
mod conditions;
mod copies;
mod crash;
mod cross_origin;
mod listing;
mod multipart;
mod notices;
mod objects;
mod ranges;
mod raw;
mod reading;
mod secrets;
mod server;
mod signatures;
mod signer;
mod stopping;

//! The API of Streamio: request, decision, response; and the signing of S3 and CloudFront URLs.
//!
//! It is pure: the time, random bytes and everything outside (the [ports](port)) are handed in, so that the same code
//! runs in a Wasm isolate and in a native server, and a test can see every answer again.

pub mod commands;
pub mod config;
pub mod directory;
pub mod journal;
pub mod outbound;
pub mod port;
pub mod sign;
pub mod views;

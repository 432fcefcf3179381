//! The API of Streamio: request, decision, response; and the signing of S3 and CloudFront URLs.
//!
//! [`Edge::handle`] is a pure function of the request, the time, random bytes and what the [ports](port) answer: the
//! same code runs in a Wasm isolate and in a native server, and a test can see every answer again.
//!
//! | room | what is in it |
//! |---|---|
//! | [`config`] | what the operator decides |
//! | [`port`], [`directory`], [`journal`], [`views`], [`commands`], [`outbound`] | what is needed of the outside |
//! | [`route`], [`problem`] | the calls there are, and the refusals |
//! | [`sign`] | S3 and CloudFront signatures, usable by themselves |
//!
//! The API's description for its users is `openapi.yaml`, beside this crate's manifest.

mod api;
mod authenticate;
pub mod cdn_url;
pub mod commands;
pub mod config;
mod cors;
pub mod directory;
mod edge;
pub mod journal;
pub mod outbound;
pub mod port;
pub mod problem;
mod rate_limit;
mod reply;
mod request;
pub mod route;
pub mod sign;
#[cfg(feature = "testing")]
pub mod testing;
pub mod views;

pub use edge::{Context, Edge, MAX_BODY_BYTES, Served};

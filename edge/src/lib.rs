//! The API of Streamio: request, decision, response; and the signing of S3 and CloudFront URLs.
//!
//! [`Edge::handle`] is a pure function of the request, the time, random bytes and what the [ports](port) answer: the
//! same code runs in a Wasm isolate and in a native server, and a test can see every answer again.
//!
//! | room | what is in it |
//! |---|---|
//! | [`config`], [`settings`] | what the operator decides, and the same as the Worker's variables |
//! | [`port`], [`directory`], [`journal`], [`views`], [`commands`], [`outbound`] | what is needed of the outside |
//! | [`home`] | these ports where the log is elsewhere: signed calls to the home region |
//! | [`kinesis`] | what a queue of grants feeds, on the way to the log |
//! | [`route`], [`problem`] | the calls there are, and the refusals |
//! | [`sign`] | S3 and CloudFront signatures, usable by themselves |
//! | `worker` | the Cloudflare Worker, on wasm32 with the feature of that name |
//! | `package` | the same for JavaScript, as an npm package (feature `package`) |
//!
//! The API's description for its users is `openapi.yaml`, beside this crate's manifest.

// On wasm32 there is one thread; the ports are shared by `Arc` on all targets alike.
#![cfg_attr(target_arch = "wasm32", allow(clippy::arc_with_non_send_sync))]

mod api;
mod authenticate;
mod base_url;
mod bounded;
pub mod cdn_url;
pub mod commands;
pub mod config;
mod cors;
pub mod directory;
mod edge;
pub mod home;
pub mod journal;
pub mod kinesis;
pub mod outbound;
#[cfg(feature = "package")]
pub mod package;
pub mod port;
pub mod problem;
mod rate_limit;
mod reply;
mod request;
pub mod route;
pub mod settings;
pub mod sign;
#[cfg(feature = "testing")]
pub mod testing;
pub mod views;
#[cfg(all(feature = "worker", target_arch = "wasm32"))]
pub mod worker;

pub use edge::{Context, Edge, MAX_BODY_BYTES, REQUEST_HEADERS, Served, misconfigured};

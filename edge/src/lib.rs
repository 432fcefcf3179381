//! The HTTP API of Streamio, and the signing of S3 and CloudFront URLs.
//!
//! A response of [`Edge::handle`] depends only on the request, the time, random bytes and the results of the [ports]: the same code
//! runs in a Wasm isolate and in a native server, and a test can reproduce every response.
//!
//! | module | contents |
//! |---|---|
//! | `edge`, `api` | what all calls share ([`Edge::handle`]); one module per call |
//! | [`config`], [`settings`] | the operator's configuration, and how it is read from the Worker's variables |
//! | [`ports`] | the traits that adapters implement: directory, journal, outbound requests, background work, timers |
//! | [`directory`] | the cached directory of API keys |
//! | [`home`] | adapters to the home region: the client that makes signed calls, and ports that ask it directly |
//! | [`kinesis`] | forwards grants from a queue to Kinesis |
//! | [`route`], [`problem`] | the calls, and the problem types |
//! | [`playlist`] | rewrites the URIs of HLS playlists |
//! | [`sign`] | S3 and CloudFront signatures, usable on their own |
//! | `worker` | the Cloudflare Worker, on wasm32 (feature `worker`) |
//! | `package` | the signing functions as an npm package (feature `package`) |
//!
//! The API's description for its users is `openapi.yaml`, beside this crate's manifest.

// On wasm32 there is one thread; the ports are shared by `Arc` on all targets alike.
#![cfg_attr(target_arch = "wasm32", allow(clippy::arc_with_non_send_sync))]

mod api;
mod authenticate;
mod base_url;
mod bounded;
pub mod cdn_url;
pub mod config;
mod context;
mod cors;
pub mod directory;
mod edge;
pub mod home;
pub mod kinesis;
mod known_keys;
#[cfg(feature = "package")]
pub mod package;
mod pending_response;
pub mod playlist;
pub mod ports;
pub mod problem;
mod public_url;
mod rate_limit;
mod reply;
mod request;
mod request_limits;
pub mod route;
mod services;
pub mod settings;
pub mod sign;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(all(feature = "worker", target_arch = "wasm32"))]
pub mod worker;

pub use context::Context;
pub use edge::{Edge, MAX_BODY_BYTES, REQUEST_HEADERS, Served, misconfigured};
pub use pending_response::PendingResponse;

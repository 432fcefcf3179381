//! The CDN from the outside: signed by an oracle of its own, asked as a viewer asks.

#[path = "cdn/clock.rs"]
mod clock;
#[path = "cdn/denials.rs"]
mod denials;
#[path = "cdn/edge_signer.rs"]
mod edge_signer;
#[path = "cdn/logging.rs"]
mod logging;
#[path = "cdn/matrix.rs"]
mod matrix;
#[path = "cdn/memory_origin.rs"]
mod memory_origin;
#[path = "cdn/network.rs"]
mod network;
#[path = "cdn/over_store.rs"]
mod over_store;
#[path = "cdn/playlists.rs"]
mod playlists;
#[path = "cdn/ranges.rs"]
mod ranges;
#[path = "cdn/serving.rs"]
mod serving;
#[path = "cdn/signer.rs"]
mod signer;
#[path = "cdn/tampering.rs"]
mod tampering;
#[path = "cdn/trust.rs"]
mod trust;
#[path = "cdn/vectors.rs"]
mod vectors;
#[path = "cdn/viewer.rs"]
mod viewer;

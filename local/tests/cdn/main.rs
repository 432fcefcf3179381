//! The CDN from the outside: signed by an oracle of its own, asked as a viewer asks.

mod clock;
mod denials;
mod edge_signer;
mod logging;
mod matrix;
mod memory_origin;
mod network;
mod over_store;
mod playlists;
mod ranges;
mod serving;
mod signer;
mod tampering;
mod trust;
mod vectors;
mod viewer;

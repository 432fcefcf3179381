//! Black-box tests of the CDN: requests of viewers, signed by an independent signer.

mod clock;
mod combinations;
mod denials;
mod edge_signer;
mod log;
mod memory_origin;
mod node_signer;
mod object_store;
mod ranges;
mod server;
mod serving;
mod signer;
mod tampering;
mod test_cdn;
mod trusted_keys;

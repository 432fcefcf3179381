//! What a request needs beside itself and the ports.

use std::net::IpAddr;

use streamio_events::timestamp::Timestamp;

/// The time, the randomness and the sender of a request.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The time of the request.
    pub now: Timestamp,
    /// 32 fresh bytes of cryptographic randomness, never used before.
    pub random: [u8; 32],
    /// The address of the client, as far as the host knows and trusts it.
    pub client_address: Option<IpAddr>,
}

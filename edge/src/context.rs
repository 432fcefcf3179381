//! What a request needs beside itself and the ports.

use streamio_events::timestamp::Timestamp;

/// The time and randomness of a request.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The time of the request.
    pub now: Timestamp,
    /// 32 fresh bytes of cryptographic randomness, never used before.
    pub random: [u8; 32],
}

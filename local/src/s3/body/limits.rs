//! Limits on request bodies.

/// The largest signed chunk in bytes. A chunk is held in memory until its signature is checked. Clients send 64 KiB to
/// 1 MiB.
pub(super) const MAX_SIGNED_CHUNK_BYTES: u64 = 16 << 20;

/// The longest chunk header line in bytes: a size and a signature of 64 hex digits fit well within.
pub(super) const MAX_CHUNK_HEADER_BYTES: usize = 256;

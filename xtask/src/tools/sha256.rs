//! SHA-256 as lower-case hexadecimal.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

pub(super) fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

//! The parsers of requests, for fuzzing. Feature `testing`.

pub use super::body::testing::{SplitBody, reframe};
pub use super::sigv4::testing::{SignatureCheck, check_signature};

//! The signer as an npm package, `@streamio/signer`: what `package/` calls. Feature `package`.
//!
//! A call takes one JSON object, its options, and answers another one, so that the boundary to JavaScript is one text
//! each way. Everything but `exports` is plain Rust, and is tested natively. Options are read strictly: one that is
//! missing, unknown or of another type is refused by its name, and no value is ever repeated in a refusal, since people
//! put secrets into the wrong place.

#[cfg(target_arch = "wasm32")]
pub mod exports;
mod lately;
mod options;
mod playback;
mod upload;
mod verification;

use std::fmt;

pub use playback::sign_playback;
pub use upload::presign_put;
pub use verification::verify_playback;

/// Why a call got no answer, for whoever wrote the call: it becomes the message of a `TypeError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(String);

impl Refused {
    /// Something is wrong with this option.
    fn option(name: &str, reason: impl fmt::Display) -> Self {
        Self(format!("option `{name}`: {reason}"))
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

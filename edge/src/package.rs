//! The signer as an npm package, `@streamio/signer`: the functions that `package/` calls. Feature `package`.
//!
//! Each function takes its options as one JSON object and returns another, so that only strings cross the boundary to
//! JavaScript. All modules except `exports` are plain Rust and tested natively. Options are validated strictly: a missing,
//! unknown or wrongly typed option is an error that names it. Errors never contain values, which may be secrets.

#[cfg(target_arch = "wasm32")]
pub mod exports;
mod key_cache;
mod options;
mod playback;
mod upload;
mod verification;

use std::fmt;

pub use playback::sign_playback;
pub use upload::presign_put;
pub use verification::verify_playback;

/// An error for the developer of the caller. It becomes the message of a `TypeError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOptions(String);

impl InvalidOptions {
    /// Returns an error about an option.
    fn option(name: &str, reason: impl fmt::Display) -> Self {
        Self(format!("option `{name}`: {reason}"))
    }
}

impl fmt::Display for InvalidOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for InvalidOptions {}

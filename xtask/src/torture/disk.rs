//! A file system that loses what was not synced when the power fails.

mod contents;
mod loss;
#[cfg(target_os = "linux")]
mod mount;
pub(super) mod namespace;
mod tree;

#[cfg(test)]
mod tests;

pub(super) use self::loss::{Loss, Lost};
#[cfg(target_os = "linux")]
pub(super) use self::mount::Mounted;
pub(super) use self::tree::Tree;

//! A file system that loses what was not synced when the power fails.

#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only the mounted file system uses it"))]
mod contents;
mod loss;
#[cfg(target_os = "linux")]
mod mount;
pub(super) mod namespace;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only the mounted file system uses it"))]
mod tree;
#[cfg(not(target_os = "linux"))]
mod unavailable;

#[cfg(test)]
mod tests;

pub(super) use self::loss::{Loss, Lost};
#[cfg(target_os = "linux")]
pub(super) use self::mount::Mounted;
pub(super) use self::tree::Tree;
#[cfg(not(target_os = "linux"))]
pub(super) use self::unavailable::Mounted;

//! Replays the log into a view beside the live one, without any effect, and compares the two.
//!
//! 1. The view is rebuilt in a second file, as of the position to which the platform has brought the live view: the streams are divided into
//!    ranges, which several threads fold. Every commit's hash is checked.
//! 2. What was appended meanwhile is folded until little is left.
//! 3. A snapshot of the live view is compared with the rebuilt one at the snapshot's own position: row by row, in the order of keys, and by a
//!    hash over all rows. Nothing waits for this.
//! 4. When told to, the rows that differ are replaced, in one transaction of the live view. They are folded again in it, so that no change
//!    of the platform is lost. Then the views are compared again.
//!
//! A live row may be ahead of the snapshot's position, because the platform stores rows before it stores its position. Such a row is compared
//! with the fold up to its own version.

mod align;
mod compare;
mod differences;
mod endpoints;
mod engine;
mod error;
mod file;
mod live;
mod options;
mod rebuild;
mod removed_due;
mod scope;
mod stream_rows;
mod swap;
mod tables;

pub use self::differences::{Difference, DifferenceKind};
pub use self::engine::{Report, Skipped, replay};
pub use self::error::ReplayError;
pub use self::options::{Options, View};

#[cfg(test)]
mod tests;

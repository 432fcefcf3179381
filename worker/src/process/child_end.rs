//! How a child ended.

use std::fmt;
use std::process::ExitStatus;

/// The end of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildEnd {
    /// Exit status.
    pub status: ExitStatus,
    /// Whether the kernel killed it because the memory of its control group reached the group's limit. Always `false` without such a
    /// group.
    pub exceeded_memory: bool,
}

impl From<ExitStatus> for ChildEnd {
    /// The end of a child without a limit on the memory of its group.
    fn from(status: ExitStatus) -> Self {
        Self { status, exceeded_memory: false }
    }
}

impl fmt::Display for ChildEnd {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = if self.exceeded_memory { " at the limit on memory of its control group" } else { "" };
        write!(formatter, "{}{reason}", self.status)
    }
}

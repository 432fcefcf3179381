//! Events of a project's transparency log.

use serde::{Deserialize, Serialize};

event_body! {
    /// A checkpoint of the project's transparency log was signed. Not every one is recorded: at most one in an hour.
    AuditCheckpointed {
        /// The number of the project's commits that the checkpoint is of.
        size: u64,
        /// The checkpoint: a C2SP `tlog-checkpoint` in a `signed-note`.
        checkpoint: String,
    }
}

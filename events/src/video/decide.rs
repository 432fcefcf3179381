//! Decisions about a video: pure functions from its state to the events that follow.
//!
//! Every decision is appended with [`Expected::Exactly`](crate::log::Expected) the version that it was made at. After
//! a conflict the stream is read again and the decision is made again. A decision's commit id is derived from its
//! cause, so that two processes that make the same decision append it once.
//!
//! | module | decisions |
//! |---|---|
//! | `next_step` | what the system does next: dispatch, launch, retry, expire, give up |
//! | `attempt` | what a worker records about its attempt |
//! | `upload` | what an event notification, or its absence, causes |
//! | `grant` | which grant an object uses, and why it uses none |
//! | `removal` | which versions of a source are removed, and when nothing is left of deleted and replaced content |
//! | `command` | delete and reprocess |
//! | `update` | change the metadata |

mod attempt;
mod command;
mod decision;
mod grant;
mod next_step;
mod removal;
#[cfg(test)]
mod tests;
mod update;
mod upload;

pub use self::attempt::{
    Fence, Interruption, Start, WorkerEnd, complete, fail, has_ended, interrupt, ready, start, worker_ended,
};
pub use self::command::{Refusal, delete, reprocess};
pub use self::decision::Decision;
pub use self::next_step::{Step, bucket_check, due_at, next_step, step_of_attempt};
pub use self::removal::{Removal, due_removals, unused_removed, versions_removed};
pub use self::update::update;
pub use self::upload::{Arrived, Conditions, grants_expired, object_arrived, object_missing, undecided};

//! The home region as the edge reaches it: signed calls over HTTP ([`streamio_events::home`] is their form).
//!
//! One [`HomeClient`] is the adapter of several ports: [`Views`](crate::views::Views),
//! [`Commands`](crate::commands::Commands) and, where grants are to be in the log before they are answered,
//! [`Journal`](crate::journal::Journal); a directory asks it for tenants.
//!
//! **Repetition.** Every call may be made twice: the ones that write carry a commit's id, which the log takes once. So a
//! call that got no answer at all is made once more, at once, with a signature of its own. What got an answer is not.
//! Two unanswered calls take twice as long as [`Outbound`](crate::outbound::Outbound) lets one take.
//!
//! **Age.** The status of a video is remembered for [`HomeConfig::statuses_for`] from when it was asked for, for a bounded
//! number of videos. While it is among them, it never goes back to an earlier version, though answers overtake one another
//! or the home region's view lags. A command ends what was remembered, and its answer takes the place: who deletes a video
//! and then asks here sees it deleted. For what others do, through another client or as workers, a status may be that much
//! older. That there is no such video is not remembered; nothing else is.
//!
//! **Trust.** An answer that names another project or video than was asked for is an error, not an answer.

mod adapters;
mod client;
mod config;
mod error;
mod statuses;
mod tenant_source;

pub use client::HomeClient;
pub use config::{HomeConfig, InvalidHomeConfig, Service};
pub use error::HomeClientError;

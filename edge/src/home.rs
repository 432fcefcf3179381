//! Adapters to the home region.
//!
//! [`HomeClient`] is the [`Home`](streamio_events::home::Home) that makes signed calls over HTTP; their wire format is
//! described in [`streamio_events::home`]. [`HomeTenants`] and [`HomeJournal`] turn any `Home`, in this process or over the
//! wire, into the ports of the API that have caches or queues in other configurations.
//!
//! **Retries.** Every call may be repeated: those that write carry a commit id, which the log accepts once. So a call that
//! got no response at all is sent once more, at once, with a new signature. A call that got a response is not, and neither
//! is a tenant lookup, because the directory has other sources. Two unanswered calls take twice as long as
//! [`Outbound`](crate::ports::outbound::Outbound) allows for one.
//!
//! **Caching.** The status of a video is cached for [`HomeConfig::statuses_for`] from when it was requested, for a bounded
//! number of videos. While it is cached, a status never goes back to an earlier version, even if responses overtake one
//! another or the home region's view lags. A command invalidates the cached status and caches the one that it returns: a
//! client that deletes a video and then reads its status through the same `HomeClient` sees it deleted. Changes made through
//! other clients or by workers may appear that much later. Nothing else is cached; in particular not that a video does not
//! exist.
//!
//! **Isolation.** A response about another project or video than the requested one is an error.

mod adapters;
mod calls;
mod client;
mod config;
mod error;
mod statuses;

pub use adapters::{HomeJournal, HomeTenants};
pub use client::HomeClient;
pub use config::{HomeConfig, InvalidHomeConfig, Service};
pub use error::HomeClientError;

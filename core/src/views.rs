//! Views: state computed from the log. A view can be deleted and rebuilt from the log at any time.
//!
//! | module | contents | runs |
//! |---|---|---|
//! | [`status`] | keeps the stored status of videos up to date; `streamio_events::video` computes it | AWS, one machine |
//! | [`batch`] | updates the views of videos and of webhook deliveries for a batch of commits | one machine |
//! | [`directory`] | API keys and their projects | AWS, one machine |
//! | [`usage`](streamio_events::usage) | counters per project and day | AWS, one machine |
//! | [`projection`] | updates all views for one commit | AWS |
//! | [`measuring`] | records what projects have used of their limits | AWS, one machine |
//! | [`replication`] | brings API keys to the store of the edge | AWS |
//! | [`rebuild`] | computes views from the whole log | tests; no command calls it yet |

pub mod batch;
pub mod directory;
pub mod measuring;
pub mod projection;
pub mod rebuild;
pub mod replication;
pub mod status;

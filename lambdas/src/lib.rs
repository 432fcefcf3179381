//! Reactions to the log and views computed from it, behind ports.
//!
//! Two kinds of consumers read the log's feed. [`react`] *does* things: it asks [`streamio_events::video::decide`] what
//! follows, appends the decision, launches workers ([`launcher`]) and removes what was deleted ([`cleanup`]). [`views`]
//! *computes* things: the status view ([`view_store`]) and the [`directory`] of tenants; in the cloud [`projection`] does
//! so for each commit, with its place in the project's feed ([`project_feed`]) and its [`usage`], [`replication`] brings the
//! directory to the edge, and [`rebuild`] computes all of it anew from the whole log. [`uploads`] turns S3's notices into
//! events, [`tasks`] turns the ends of workers into events, and [`sweep`] finds what is due although no event came.
//!
//! A record of the feed is only a hint: every handler reads the stream it is about, so duplicates and replays change
//! nothing. Adapters live elsewhere: the one-machine platform brings its own, the cloud's come with the Lambda binaries.

#[cfg(feature = "aws")]
pub mod aws;
pub mod batch;
pub mod cleanup;
pub mod dead_letter;
pub mod directory;
pub mod home;
pub mod intake;
pub mod kv_namespace;
pub mod launcher;
pub mod pending_replication;
pub mod project_feed;
pub mod projection;
pub mod quarantine;
pub mod react;
pub mod rebuild;
pub mod replication;
pub mod sweep;
pub mod tasks;
pub mod tenant_store;
#[cfg(feature = "aws")]
pub mod trigger;
pub mod uploads;
pub mod usage;
pub mod view_store;
pub mod views;

/// An error of an adapter, with whatever it knows about its cause.
pub type AdapterError = Box<dyn std::error::Error + Send + Sync>;

//! Webhooks: sends messages about videos to the tenants' endpoints.
//!
//! | module | contents |
//! |---|---|
//! | [`scheduling`] | records which messages are to be sent, when the log has changed |
//! | [`replaying`] | schedules messages again that a tenant asked for |
//! | [`messages`] | which messages follow from commits |
//! | [`queueing`] | queues what is due, where a queue starts the processes that deliver |
//! | [`attempts`] | which attempts of a process are made next: projects in turn, and limits for each endpoint |
//! | [`delivering`] | makes the attempts that are due, and records how they ended |
//! | [`failures`] | what becomes of a delivery that could not be continued |
//! | `http_sender` | sends requests over HTTPS (feature `http-sender`) |
//! | [`keys`] | the keys with which messages are signed |
//! | [`view`] | keeps the views of deliveries up to date |
//!
//! ```text
//! video's stream ──▶ scheduling ──▶ delivery's stream ──▶ view ──▶ what is due ──▶ delivering ──▶ delivery's stream
//! ```
//!
//! Everything is recorded before it is acted upon, and each step can be repeated: a message that was scheduled is not scheduled again, and
//! an attempt whose end could not be recorded is made again, with the same id and the same bytes. So no message is lost, and some arrive
//! twice.

pub mod attempts;
pub mod delivering;
pub mod failures;
#[cfg(feature = "http-sender")]
pub mod http_sender;
pub mod keys;
pub mod messages;
pub mod queueing;
pub mod replaying;
pub mod scheduling;
pub mod view;

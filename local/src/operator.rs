//! The operator's actions on a data directory: projects, API keys, events, dead letters. They work with and without a platform running
//! on the directory: several processes may open the log, and a running platform sees the appended events.

mod audit_log;
mod dead_letters;
mod error;
mod export;
mod feed;
mod handle;
mod projects;
mod replay;
mod store;
mod verify;

pub use self::audit_log::AuditVerification;
pub use self::error::OperatorError;
pub use self::handle::{IfMissing, Operator};
pub use self::store::check_store;
pub use streamio_core::delivery::redrive::Redriven;
pub use streamio_core::operator::{Filter, NewApiKey, NewKeyOptions, Verification};
pub use streamio_core::ports::dead_letters::{DeadLetter, DeadLetterSummary, FUNCTIONS};

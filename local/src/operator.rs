//! The operator's actions on a data directory: projects, API keys, events. They work with and without a platform running
//! on the directory: several processes may open the log, and a running platform sees the appended events.

mod audit_log;
mod error;
mod feed;
mod handle;
mod projects;
mod store;
mod verify;

pub use self::audit_log::AuditVerification;
pub use self::error::OperatorError;
pub use self::feed::{ExportSummary, Filter};
pub use self::handle::{IfMissing, Operator};
pub use self::projects::{NewApiKey, NewKeyOptions};
pub use self::store::check_store;
pub use self::verify::Verification;

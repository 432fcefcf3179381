//! The operator's actions on a deployment: projects and API keys, webhooks, the event log, dead letters. They use the tables directly, with the
//! credentials of the operator; what the platform does about a change, it does as always, from the log.

mod dead_letters;
mod deployment;
mod error;
mod events;
mod parts;
mod projects;
mod webhooks;

pub use streamio_core::delivery::redrive::Redriven;
pub use streamio_core::operator::{Filter, NewApiKey, NewKeyOptions, ProjectError, Verification};
pub use streamio_core::ports::dead_letters::{DeadLetter, DeadLetterSummary, FUNCTIONS};

pub use self::deployment::{AwsOperator, Deployment};
pub use self::error::AwsOperatorError;
pub use self::events::Damaged;
pub use self::parts::LogPart;
pub use self::webhooks::new_command;
pub use crate::adapters::invoke::InvokeError;
pub use crate::adapters::sts::Caller;

//! The operator's actions on a platform, on any log: projects and their API keys, which events to show, and the verification of the hash
//! chains.

mod chains;
mod events;
mod projects;

pub use self::chains::{Chains, Verification};
pub use self::events::Filter;
pub use self::projects::{NewApiKey, NewKeyOptions, ProjectCommands, ProjectError, ProjectList, Random};

//! The API's ports on one machine: everything is in this process.

mod at_home;
mod outbound;

pub(crate) use commands::LogCommands;
pub(crate) use directory::LogDirectory;
pub(crate) use journal::LogJournal;
pub(crate) use outbound::HttpOutbound;

//! The API's ports on one machine: everything is in this process.

mod commands;
mod directory;
mod journal;
mod outbound;
mod views;

pub(crate) use commands::LogCommands;
pub(crate) use directory::{LogDirectory, tenant_of};
pub(crate) use journal::LogJournal;
pub(crate) use outbound::HttpOutbound;
pub(crate) use views::LogViews;

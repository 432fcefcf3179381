//! Each test builds a history, asks for a decision and checks it.

mod attempts;
mod commands;
mod grants;
mod history;
mod late_grants;
mod named_grants;
mod old_events;
mod updates;
mod uploads;
mod versions;

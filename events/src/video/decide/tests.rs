//! Each test builds a history, asks for a decision and checks it.

mod attempts;
mod commands;
mod history;
mod updates;
mod uploads;

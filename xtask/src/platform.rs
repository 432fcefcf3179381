//! The real platform as a child process, and a client of its API.

pub(crate) mod api;
pub(crate) mod program;

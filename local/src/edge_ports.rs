//! The API's ports on one machine: everything is in this process.

mod at_home;
mod outbound;

pub(crate) use at_home::AtHome;
pub(crate) use outbound::HttpOutbound;

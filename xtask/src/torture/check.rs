//! The checks of a platform that was killed, against the record of what was acknowledged.

pub(super) mod acknowledged;
pub(super) mod directory;
pub(super) mod feed;
pub(super) mod history;
pub(super) mod webhooks;

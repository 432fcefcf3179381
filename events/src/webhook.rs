//! Webhooks: the endpoints of a project, the messages about its videos, and their deliveries.

pub mod address;
pub mod endpoint_url;
pub mod exchange;

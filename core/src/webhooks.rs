//! Webhooks: the delivery of messages to the endpoints of projects.

#[cfg(feature = "http-sender")]
pub mod http_sender;

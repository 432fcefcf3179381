//! The port that sends one request to a webhook endpoint.

use async_trait::async_trait;
use streamio_events::webhook::exchange::Exchange;

/// A request to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRequest {
    /// Where it is sent.
    pub url: String,
    /// The headers, besides those that HTTP itself needs.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

/// Sends requests to endpoints.
#[async_trait]
pub trait WebhookSender: Send + Sync {
    /// Sends a POST request and returns what came of it. The result is limited in time and size, and no address is connected to that
    /// the operator does not allow.
    async fn send(&self, request: WebhookRequest) -> Exchange;
}

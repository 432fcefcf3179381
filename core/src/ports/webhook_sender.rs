//! The port that sends webhooks.

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use streamio_events::id::ProjectId;
use streamio_events::webhook::endpoint_url::EndpointUrl;
use streamio_events::webhook::exchange::Exchange;

/// A POST request to an endpoint.
#[derive(Debug, Clone)]
pub struct WebhookRequest {
    /// The project of the endpoint, so that the requests of one project cannot take what those of others need.
    pub project_id: ProjectId,
    /// The endpoint. The sender checks it against its rules.
    pub url: EndpointUrl,
    /// The headers. Those that frame the message or belong to the connection, such as `Content-Length`, are the sender's own.
    pub headers: HeaderMap,
    /// The body, sent as it is.
    pub body: Bytes,
}

/// Sends webhooks.
#[async_trait]
pub trait WebhookSender: Send + Sync {
    /// Sends `request` once and returns what that resulted in. Every failure is an [`Exchange`] too. Dropping the future closes the
    /// connection; the endpoint may have received the request.
    async fn send(&self, request: WebhookRequest) -> Exchange;

    /// Like [`Self::send`]; `None` if the platform was so busy that it could not begin, so that no attempt was made.
    async fn send_soon(&self, request: WebhookRequest) -> Option<Exchange> {
        Some(self.send(request).await)
    }
}

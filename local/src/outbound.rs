//! The API's requests to the object store and the CDN.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use streamio_edge::ports::Cause;
use streamio_edge::ports::outbound::{MAX_RESPONSE_BYTES, Outbound, OutboundError, ResponseTooLarge};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends HTTP requests. The object store and the CDN are called over HTTP too, although they are in this process.
pub(crate) struct HttpOutbound(reqwest::Client);

impl HttpOutbound {
    pub(crate) fn new() -> reqwest::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self(client))
    }

    async fn exchange(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, OutboundError> {
        // The URL is left out of errors: it may be signed.
        let failed = |error: reqwest::Error| OutboundError(error.without_url().into());
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let response: http::Response<reqwest::Body> = self.0.execute(request).await.map_err(failed)?.into();
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await.map_err(|error| {
            OutboundError(if error.is::<LengthLimitError>() {
                ResponseTooLarge.into()
            } else {
                without_url(error)
            })
        })?;
        Ok(http::Response::from_parts(head, body.to_bytes()))
    }
}

/// The error without the URL, which may be signed.
fn without_url(error: Cause) -> Cause {
    match error.downcast::<reqwest::Error>() {
        Ok(error) => error.without_url().into(),
        Err(error) => error,
    }
}

#[async_trait]
impl Outbound for HttpOutbound {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, OutboundError> {
        self.exchange(request).await
    }
}

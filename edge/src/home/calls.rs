//! Signed calls over HTTP, without knowledge of what they are about.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use streamio_events::clock::Clock;
use streamio_events::home::{HomeCall, HomeError, HomeReply, HomeResult, MAX_REPLY_BYTES, PATH, ReplyError};

use super::config::{HomeConfig, InvalidHomeConfig};
use super::error::HomeClientError;
use crate::base_url::BaseUrl;
use crate::ports::outbound::{Outbound, OutboundError};
use crate::sign::sigv4::{Payload, RequestParts, Signer};

/// Longer texts of the other side are cut in errors.
const MAX_REASON_CHARACTERS: usize = 300;

/// Sends calls to one home region.
pub(super) struct Calls {
    outbound: Arc<dyn Outbound>,
    clock: Arc<dyn Clock>,
    signer: Signer,
    /// `scheme://host[:port]`.
    origin: String,
    /// The base URL's path and [`PATH`].
    path: String,
}

/// Why a call has no result.
pub(super) enum CallError {
    /// The home region understood the call and refused it.
    Replied(ReplyError),
    /// The call failed, or its outcome is unknown.
    Failed(HomeClientError),
}

impl From<HomeClientError> for CallError {
    fn from(error: HomeClientError) -> Self {
        Self::Failed(error)
    }
}

impl From<CallError> for HomeClientError {
    /// For calls that no [`ReplyError`] but [`ReplyError::Unavailable`] belongs to.
    fn from(error: CallError) -> Self {
        match error {
            CallError::Failed(error) => error,
            CallError::Replied(ReplyError::Unavailable) => {
                Self::Unavailable { status: StatusCode::SERVICE_UNAVAILABLE }
            }
            CallError::Replied(error) => Self::Malformed {
                reason: format!("the error belongs to another call: {}", cut(&error.to_string())),
            },
        }
    }
}

impl From<CallError> for HomeError {
    /// For calls that no [`ReplyError`] but [`ReplyError::Unavailable`] belongs to.
    fn from(error: CallError) -> Self {
        Self::because_of(HomeClientError::from(error))
    }
}

impl Calls {
    pub(super) fn new(
        config: HomeConfig,
        outbound: Arc<dyn Outbound>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidHomeConfig> {
        let url = BaseUrl::parse(&config.base_url).ok_or(InvalidHomeConfig::BaseUrl)?;
        let signer = Signer::new(config.credentials, &config.region, config.service.name())?;
        Ok(Self { outbound, clock, signer, origin: url.origin(), path: [url.path(), PATH].concat() })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) async fn call_once(&self, call: &HomeCall) -> Result<HomeResult, CallError> {
        let body = Bytes::from(call.to_json());
        read_response(&self.send(&body).await?.map_err(HomeClientError::NoResponse)?)
    }

    /// Makes a call, a second time if there is no response to the first.
    pub(super) async fn call(&self, call: &HomeCall) -> Result<HomeResult, CallError> {
        let body = Bytes::from(call.to_json());
        let response = match self.send(&body).await? {
            Ok(response) => response,
            Err(_) => self.send(&body).await?.map_err(HomeClientError::NoResponse)?,
        };
        read_response(&response)
    }

    async fn send(&self, body: &Bytes) -> Result<Result<Response<Bytes>, OutboundError>, HomeClientError> {
        let request = self.request(body)?;
        Ok(self.outbound.send(request).await)
    }

    fn request(&self, body: &Bytes) -> Result<Request<Bytes>, HomeClientError> {
        let parts = RequestParts {
            method: &Method::POST,
            origin: &self.origin,
            path: &self.path,
            query: &[],
            headers: &[(header::CONTENT_TYPE.as_str().into(), "application/json".into())],
        };
        let now = self.clock.now().unix_seconds();
        let signed = self.signer.sign(&parts, Payload::Bytes(body), now).map_err(HomeClientError::Signing)?;
        let mut request = Request::new(body.clone());
        *request.method_mut() = signed.method;
        *request.uri_mut() = signed.url.parse().expect("an origin and an encoded path are a URI");
        *request.headers_mut() = signed.headers;
        Ok(request)
    }
}

fn read_response(response: &Response<Bytes>) -> Result<HomeResult, CallError> {
    let (status, body) = (response.status(), response.body());
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(HomeClientError::Unavailable { status }.into());
    }
    let reply = parse_reply(body);
    if status != StatusCode::OK {
        // A response of a service in front of the home region is not quoted: it may repeat what was signed.
        let reason = match reply {
            Ok(HomeReply::Error(error)) => cut(&error.to_string()),
            _ => "the response is not the home region's own".to_owned(),
        };
        return Err(HomeClientError::Refused { status, reason }.into());
    }
    match reply.map_err(|reason| HomeClientError::Malformed { reason })? {
        HomeReply::Ok(result) => Ok(result),
        HomeReply::Error(error) => Err(CallError::Replied(error)),
    }
}

fn parse_reply(body: &Bytes) -> Result<HomeReply, String> {
    if body.len() > MAX_REPLY_BYTES {
        return Err(format!("it has {} bytes, more than {MAX_REPLY_BYTES}", body.len()));
    }
    serde_json::from_slice(body).map_err(|error| cut(&error.to_string()))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_REASON_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

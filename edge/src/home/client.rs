use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use streamio_events::api_key::KeyHash;
use streamio_events::home::{HomeAnswer, HomeCall, HomeError, HomeReply, MAX_ANSWER_BYTES, PATH};
use streamio_events::tenant::Tenant;

use super::config::{HomeConfig, InvalidHomeConfig};
use super::error::HomeClientError;
use super::statuses::Statuses;
use crate::base_url::BaseUrl;
use crate::outbound::{Outbound, OutboundError};
use crate::port::Clock;
use crate::sign::sigv4::{Payload, RequestParts, Signer};

/// Longer words of the other side are cut in an error.
const MOST_REASON_CHARACTERS: usize = 300;

/// The home region, by signed calls. See the [module](super) for what may be expected of it.
pub struct HomeClient {
    outbound: Arc<dyn Outbound>,
    pub(super) clock: Arc<dyn Clock>,
    signer: Signer,
    /// `scheme://host[:port]`.
    origin: String,
    /// The base URL's path and [`PATH`].
    path: String,
    pub(super) statuses: Statuses,
}

/// Why a call gave no answer to work with.
pub(super) enum Undone {
    /// The call was understood, and this is the answer.
    Said(HomeError),
    /// It was not, or nobody knows.
    Failed(HomeClientError),
}

impl From<HomeClientError> for Undone {
    fn from(error: HomeClientError) -> Self {
        Self::Failed(error)
    }
}

impl HomeClient {
    /// A client of the home region that `config` describes.
    pub fn new(
        config: HomeConfig,
        outbound: Arc<dyn Outbound>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, InvalidHomeConfig> {
        let url = BaseUrl::parse(&config.base_url).ok_or(InvalidHomeConfig::BaseUrl)?;
        let signer = Signer::new(config.credentials, &config.region, config.service.name())?;
        let capacity = NonZeroUsize::new(config.most_statuses).ok_or(InvalidHomeConfig::MostStatuses)?;
        Ok(Self {
            outbound,
            clock,
            signer,
            origin: url.origin(),
            path: [url.path(), PATH].concat(),
            statuses: Statuses::new(capacity, config.statuses_for),
        })
    }

    /// Whose the API key with this SHA-256 is; `None` for one that was never made. Nothing is remembered, and nothing is
    /// tried again: the directory has other ways.
    pub async fn tenant(&self, key: &KeyHash) -> Result<Option<Tenant>, HomeClientError> {
        match self.call_once(&HomeCall::Tenant { key: *key }).await {
            Ok(HomeAnswer::Tenant(tenant)) => Ok(tenant),
            Ok(other) => Err(unexpected(&other)),
            Err(undone) => Err(failed(undone)),
        }
    }

    async fn call_once(&self, call: &HomeCall) -> Result<HomeAnswer, Undone> {
        let body = Bytes::from(call.to_json());
        understood(&self.send(&body).await?.map_err(HomeClientError::NoAnswer)?)
    }

    /// Makes a call, once more where nothing comes back.
    pub(super) async fn call(&self, call: &HomeCall) -> Result<HomeAnswer, Undone> {
        let body = Bytes::from(call.to_json());
        let answer = match self.send(&body).await? {
            Ok(answer) => answer,
            Err(_) => self.send(&body).await?.map_err(HomeClientError::NoAnswer)?,
        };
        understood(&answer)
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

impl fmt::Debug for HomeClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HomeClient").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// What the other side says.
fn understood(answer: &Response<Bytes>) -> Result<HomeAnswer, Undone> {
    let (status, body) = (answer.status(), answer.body());
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(HomeClientError::Unavailable { status }.into());
    }
    let reply = read(body);
    if status != StatusCode::OK {
        // Whatever is in front of the home region has words of its own, which may repeat what was signed.
        let reason = match reply {
            Ok(HomeReply::Error(error)) => cut(&error.to_string()),
            _ => "the answer is not the home region's own".to_owned(),
        };
        return Err(HomeClientError::Refused { status, reason }.into());
    }
    match reply.map_err(|reason| HomeClientError::Malformed { reason })? {
        HomeReply::Ok(answer) => Ok(answer),
        HomeReply::Error(error) => Err(Undone::Said(error)),
    }
}

fn read(body: &Bytes) -> Result<HomeReply, String> {
    if body.len() > MAX_ANSWER_BYTES {
        return Err(format!("it has {} bytes, more than {MAX_ANSWER_BYTES}", body.len()));
    }
    serde_json::from_slice(body).map_err(|error| cut(&error.to_string()))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_REASON_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The answer to another call.
pub(super) fn unexpected(answer: &HomeAnswer) -> HomeClientError {
    HomeClientError::Malformed { reason: format!("it is the answer `{}` to another call", answer.name()) }
}

/// An error for a call that has no other ones.
pub(super) fn failed(undone: Undone) -> HomeClientError {
    match undone {
        Undone::Failed(error) => error,
        Undone::Said(HomeError::Unavailable) => {
            HomeClientError::Unavailable { status: StatusCode::SERVICE_UNAVAILABLE }
        }
        Undone::Said(error) => HomeClientError::Malformed {
            reason: format!("it is an error of another call: {}", cut(&error.to_string())),
        },
    }
}

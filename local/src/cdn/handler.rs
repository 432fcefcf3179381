//! Handles a request: checks, authorisation, reading the object, access log.

use std::net::IpAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use axum::body::Body;
use http::header::HOST;
use http::request::Parts;
use http::{Method, Response};
use streamio_events::timestamp::Timestamp;

use super::authorize::{ViewerRequest, authorize};
use super::conditional::{Validators, single_value};
use super::config::{CdnConfig, Clock};
use super::content_headers::{cache_control, content_type};
use super::object_path::key_of;
use super::origin::{Origin, OriginObject as _};
use super::refusal::Refusal;
use super::representation::Representation;
use crate::logged_path::logged_path;

/// A CDN without a listener; [`serve`](super::serve) adds one.
pub struct Cdn<O> {
    origin: O,
    pub(super) config: CdnConfig,
    clock: Clock,
}

impl<O: Origin> Cdn<O> {
    /// A CDN over the objects of `origin`.
    pub fn new(origin: O, config: CdnConfig, clock: Clock) -> Self {
        Self { origin, config, clock }
    }

    /// Handles the request with this head from the viewer at `address` and logs it. A request body is ignored.
    pub async fn handle_request(&self, head: &Parts, address: IpAddr) -> Response<Body> {
        let started_at = Instant::now();
        let result = self.try_handle_request(head, address).await;
        let refusal = result.as_ref().err();
        let status = result.as_ref().map_or_else(Refusal::status, Response::status).as_u16();
        let duration_ms = u64::try_from(started_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        // The query and the cookies grant access, so they are never logged.
        let path = &*logged_path(head.uri.path());
        let (method, viewer) = (&head.method, address);
        match refusal {
            None => tracing::info!(
                http.method = %method, url.path = path, client.address = %viewer, http.status = status, duration_ms,
                "CDN request served"
            ),
            Some(Refusal::Origin(error)) => tracing::error!(
                http.method = %method, url.path = path, client.address = %viewer, http.status = status, duration_ms,
                error = %error, "CDN request failed: an object could not be read"
            ),
            Some(refusal) => tracing::info!(
                http.method = %method, url.path = path, client.address = %viewer, http.status = status, duration_ms,
                reason = %refusal, "CDN request refused"
            ),
        }
        result.unwrap_or_else(|refusal| refusal.to_response())
    }

    async fn try_handle_request(&self, head: &Parts, address: IpAddr) -> Result<Response<Body>, Refusal> {
        if head.method != Method::GET && head.method != Method::HEAD {
            return Err(Refusal::Method(head.method.clone()));
        }
        self.check_host(head)?;
        let path = head.uri.path();
        let key = key_of(path)?;
        let now = (self.clock)();
        let request = ViewerRequest { path, query: head.uri.query(), headers: &head.headers, address };
        authorize(&request, &self.config.base_url, &self.config.keys, now)?;

        let object = self.origin.open(&key).await.map_err(Refusal::Origin)?.ok_or(Refusal::NoSuchKey)?;
        let metadata = object.metadata();
        let representation = Representation {
            size: metadata.size,
            validators: Validators::new(&metadata.etag, metadata.last_modified.into()),
            content_type: content_type(&key, &metadata),
            content_encoding: metadata.content_encoding,
            cache_control: cache_control(&key),
            object,
        };
        representation.respond(&head.method, &head.headers, system_time(now))
    }

    /// Checks that the request is for the CDN's host. The authority of an absolute request target has precedence over
    /// the `Host` header: <https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2>.
    fn check_host(&self, head: &Parts) -> Result<(), Refusal> {
        let target = head.uri.authority().map(http::uri::Authority::as_str);
        let host = target.or_else(|| single_value(&head.headers, HOST)).ok_or(Refusal::NoHost)?;
        if self.config.base_url.matches_authority(host) { Ok(()) } else { Err(Refusal::OtherHost) }
    }
}

fn system_time(now: Timestamp) -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(now.unix_millis()).unwrap_or(0))
}

//! Handles a request: checks, authorisation, reading the object, access log.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use axum::body::Body;
use bytes::Bytes;
use futures::TryStreamExt as _;
use http::header::HOST;
use http::request::Parts;
use http::{Method, Response};
use rsa::sha2::{Digest as _, Sha256};
use streamio_events::timestamp::Timestamp;

use super::authorize::{Allowed, ViewerRequest, authorize};
use super::conditional::{Validators, single_value};
use super::config::{CdnConfig, Clock};
use super::content_headers::{PLAYLIST, cache_control, content_type};
use super::credentials::PolicyQuery;
use super::object_path::key_of;
use super::origin::{ObjectMetadata, Origin, OriginObject};
use super::playlist::{self, MAX_REWRITTEN_BYTES, MAX_SOURCE_BYTES};
use super::refusal::Refusal;
use super::representation::{Representation, Source};

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
        let (method, path, viewer) = (&head.method, head.uri.path(), address);
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
            return Err(Refusal::Method);
        }
        self.check_host(head)?;
        let path = head.uri.path();
        let key = key_of(path)?;
        let now = (self.clock)();
        let request = ViewerRequest { path, query: head.uri.query(), headers: &head.headers, address };
        let allowed = authorize(&request, &self.config.base_url, &self.config.keys, now)?;

        let object = self.origin.open(&key).await.map_err(Refusal::Origin)?.ok_or(Refusal::NoSuchKey)?;
        let representation = self.represent(object, &key, &allowed).await.map_err(Refusal::Origin)?;
        representation.respond(&head.method, &head.headers, system_time(now))
    }

    /// Checks that the request is for the CDN's host. The authority of an absolute request target has precedence over
    /// the `Host` header: <https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2>.
    fn check_host(&self, head: &Parts) -> Result<(), Refusal> {
        let target = head.uri.authority().map(http::uri::Authority::as_str);
        let host = target.or_else(|| single_value(&head.headers, HOST)).ok_or(Refusal::NoHost)?;
        if self.config.base_url.matches_authority(host) { Ok(()) } else { Err(Refusal::OtherHost) }
    }

    async fn represent(
        &self,
        object: O::Object,
        key: &str,
        allowed: &Allowed,
    ) -> io::Result<Representation<O::Object>> {
        let metadata = object.metadata();
        let content_type = content_type(key, &metadata);
        if let Some(parameters) = &allowed.policy_query
            && content_type == PLAYLIST
            && metadata.content_encoding.is_none()
        {
            if metadata.size <= MAX_SOURCE_BYTES {
                return self.represent_playlist(object, &metadata, key, parameters).await;
            }
            tracing::warn!(
                object.key = key,
                bytes = metadata.size,
                "a playlist is too large to add the authorisation to its URIs; it is served unchanged"
            );
        }
        Ok(Representation {
            size: metadata.size,
            validators: Validators::new(&metadata.etag, metadata.last_modified.into()),
            content_type,
            content_encoding: metadata.content_encoding,
            cache_control: cache_control(key),
            source: Source::Object(object),
        })
    }

    async fn represent_playlist(
        &self,
        object: O::Object,
        metadata: &ObjectMetadata,
        key: &str,
        parameters: &PolicyQuery,
    ) -> io::Result<Representation<O::Object>> {
        let stored = read_all(object, metadata.size).await?;
        let rewritten = str::from_utf8(&stored).ok().and_then(|text| {
            playlist::add_parameters(text, &self.config.base_url, parameters, MAX_REWRITTEN_BYTES)
        });
        if rewritten.is_none() {
            tracing::warn!(
                object.key = key,
                "an object with the type of a playlist is not a playlist or too large; it is served unchanged"
            );
        }
        let (etag, bytes) = match rewritten {
            // Not the stored representation, so it needs its own entity tag: a digest of its content.
            Some(text) => (digest(text.as_bytes()), Bytes::from(text)),
            None => (metadata.etag.clone(), stored),
        };
        Ok(Representation {
            size: bytes.len() as u64,
            validators: Validators::new(&etag, metadata.last_modified.into()),
            content_type: PLAYLIST.to_owned(),
            content_encoding: None,
            cache_control: cache_control(key),
            source: Source::Memory(bytes),
        })
    }
}

/// Reads an object into memory.
async fn read_all<O: OriginObject>(object: O, size: u64) -> io::Result<Bytes> {
    let bytes: Vec<u8> = object
        .into_stream(0..size)
        .try_fold(Vec::new(), async |mut bytes, piece| {
            bytes.extend_from_slice(&piece);
            Ok(bytes)
        })
        .await?;
    if bytes.len() as u64 == size { Ok(bytes.into()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn digest(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)[..16])
}

fn system_time(now: Timestamp) -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(now.unix_millis()).unwrap_or(0))
}

//! The S3 protocol as a service: CORS outside, then the checks and the log, then `s3s` with the operations.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use data_encoding::HEXUPPER;
use futures::FutureExt as _;
use http::header::{CONTENT_ENCODING, EXPECT, RANGE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use s3s::dto::Range;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, s3_error};
use tower::util::BoxCloneSyncService;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use super::auth::{Credentials, KeyRing};
use super::body::WatchedBody;
use super::error::StoreError;
use super::protocol::Operations;
use super::sigv4;
use super::store::Store;

/// How much of a refused body is read so that its sender, who is still sending, gets to see the answer.
const DRAIN_BYTES: u64 = 8 << 20;
/// And for how long.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// How long a browser may keep the answer to a preflight request.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// Who may sign requests, and for which region.
#[derive(Debug, Clone)]
pub struct Config {
    /// The key pairs accepted. Each may do everything.
    pub credentials: Vec<Credentials>,
    /// The region that signatures must name, such as `us-east-1`.
    pub region: String,
}

/// What the parts of one request's handling share.
#[derive(Clone, Default)]
pub(super) struct Context(Arc<OnceLock<StoreError>>);

impl Context {
    /// Keeps an error of our own for the log, which is written outside.
    pub(super) fn failed(&self, error: StoreError) {
        // The first one is the cause.
        drop(self.0.set(error));
    }
}

/// The service of one store.
pub(super) type S3 = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// Builds the service.
pub(super) fn service(store: Store, config: Config) -> S3 {
    let mut builder = S3ServiceBuilder::new(Operations::new(store, config.region.clone()));
    builder.set_auth(KeyRing(config.credentials));
    let front = Front { s3: builder.build(), region: config.region.into() };
    let cors = CorsLayer::new()
        // Whoever holds a presigned URL may use it from any page; the signature is the protection, not the origin.
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(
            [
                "etag",
                "content-length",
                "content-range",
                "accept-ranges",
                "last-modified",
                "x-amz-request-id",
                "x-amz-checksum-crc32",
                "x-amz-checksum-crc32c",
                "x-amz-checksum-crc64nvme",
                "x-amz-checksum-sha1",
                "x-amz-checksum-sha256",
                "x-amz-checksum-type",
                "x-amz-mp-parts-count",
            ]
            .map(HeaderName::from_static),
        )
        .max_age(PREFLIGHT_AGE);
    let handle = tower::service_fn(move |request| front.clone().handle(request));
    BoxCloneSyncService::new(tower::ServiceBuilder::new().layer(cors).service(handle))
}

#[derive(Clone)]
struct Front {
    s3: S3Service,
    region: Arc<str>,
}

impl Front {
    async fn handle(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let begun = Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let request_id = HEXUPPER.encode(&rand::random::<[u8; 8]>());
        let context = Context::default();
        let mut response = self.answer(request, context.clone()).await;
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let status = response.status().as_u16();
        // The path only: the query of a presigned URL is a secret.
        if let Some(error) = context.0.get() {
            let error = error as &dyn std::error::Error;
            tracing::error!(request.id = request_id, %method, path, status, duration_ms, error, "S3 request failed");
        } else if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(request.id = request_id, %method, path, status, duration_ms, "S3 request broke the server");
        } else if method != Method::HEAD
            && (response.status().is_client_error() || response.status().is_server_error())
        {
            // A HEAD asks whether something is there, and is answered either way.
            tracing::info!(request.id = request_id, %method, path, status, duration_ms, "S3 request refused");
        } else {
            tracing::debug!(request.id = request_id, %method, path, status, duration_ms, "S3 request served");
        }
        Ok(response)
    }

    async fn answer(self, request: Request<Incoming>, context: Context) -> Response<Body> {
        let (mut parts, incoming) = request.into_parts();
        let expects = parts.headers.contains_key(EXPECT);
        let signed = match sigv4::check(&mut parts, &self.region) {
            Ok(signed) => signed,
            Err(error) => {
                if !expects {
                    drain(incoming).await;
                }
                return respond(error);
            }
        };
        ignore_malformed_range(&mut parts, &signed);
        join_content_encodings(&mut parts);
        let (body, watch) = WatchedBody::new(incoming, &parts);
        parts.extensions.insert(context.clone());
        let request = Request::from_parts(parts, Body::http_body_unsync(body));
        // `s3s` logs whole requests and expected signatures at the debug level. Muted altogether, nothing of that can
        // get into a log, however a subscriber is configured.
        let answer =
            AssertUnwindSafe(self.s3.call(request).with_subscriber(Dispatch::none())).catch_unwind().await;
        let mut response = match answer {
            Ok(Ok(response)) => response,
            Ok(Err(_)) | Err(_) => respond(s3_error!(InternalError)),
        };
        let status = response.status();
        if let Some(fault) = watch.fault()
            && (status.is_server_error() || status == StatusCode::BAD_REQUEST || fault.is_transport())
            && !status.is_success()
        {
            response = respond(fault.to_error());
        }
        if let Some(unread) = watch.take_unread() {
            drain(unread).await;
        }
        response
    }
}

/// An error as S3 puts it.
fn respond(error: S3Error) -> Response<Body> {
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// Reads on, within limits: closing a connection on a client that is sending can destroy the answer on its way.
async fn drain(mut body: Incoming) {
    let reading = async {
        let mut left = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, bytes::Bytes::len) as u64;
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    drop(tokio::time::timeout(DRAIN_TIME, reading).await);
}

/// A range that is none, or several, is ignored: <https://www.rfc-editor.org/rfc/rfc9110#section-14.2>. One that is
/// signed must stay for the signature to be verified, and is then refused.
fn ignore_malformed_range(request: &mut Parts, signed: &[String]) {
    if signed.iter().any(|name| name == RANGE.as_str()) {
        return;
    }
    let malformed =
        |value: &HeaderValue| value.to_str().ok().is_none_or(|range| Range::parse(range).is_err());
    if request.headers.get(RANGE).is_some_and(malformed) {
        request.headers.remove(RANGE);
    }
}

/// SDKs send `aws-chunked` as a second `Content-Encoding`, which `s3s` takes for a mistake. Joined it is the same, also
/// to the signature.
fn join_content_encodings(request: &mut Parts) {
    let values = request.headers.get_all(CONTENT_ENCODING);
    if values.iter().nth(1).is_some() {
        let joined: Vec<&[u8]> = values.iter().map(HeaderValue::as_bytes).collect();
        if let Ok(value) = HeaderValue::from_bytes(&joined.join(&b","[..])) {
            request.headers.insert(CONTENT_ENCODING, value);
        }
    }
}

//! The S3 protocol as a Tower service. Layers, from the outside: CORS, request checks and access log, `s3s` with the
//! operations.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::HEXUPPER;
use futures::FutureExt as _;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, RANGE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use s3s::dto::Range;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, s3_error};
use time::OffsetDateTime;
use tower::util::BoxCloneSyncService;
use tower_http::cors::{AllowHeaders, Any, CorsLayer};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use super::auth::{AcceptedCredentials, Credentials};
use super::body::CheckedBody;
use super::protocol::Operations;
use super::refusal::{self, Refusal};
use super::request_context::RequestContext;
use super::sigv4::{self, SignedRequest};
use super::store::Store;
use crate::http_server::RequestBody;
use crate::logged_path::logged_path;

/// How many bytes of a refused body are read, so that a client that is still sending can receive the response.
const DRAIN_BYTES: u64 = 32 << 20;
/// How long a refused body is read.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// The longest XML document in the body of a request, which is the limit of `s3s`.
const MAX_DOCUMENT_BYTES: u64 = 20 << 20;

/// How long a browser may cache the response to a preflight request.
const PREFLIGHT_AGE: Duration = Duration::from_hours(1);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// The settings of the S3 server.
#[derive(Debug, Clone)]
pub struct Config {
    /// The accepted key pairs. Each has full access.
    pub credentials: Vec<Credentials>,
    /// The region that signatures must be scoped to, such as `us-east-1`.
    pub region: String,
}

/// The service over one store.
pub(super) type S3 = BoxCloneSyncService<Request<RequestBody>, Response<Body>, Infallible>;

/// Builds the service.
pub(super) fn service(store: Store, config: Config) -> S3 {
    let mut builder = S3ServiceBuilder::new(Operations::new(store, config.region.clone()));
    let credentials = config.credentials.clone().into();
    builder.set_auth(AcceptedCredentials(config.credentials));
    let handler = RequestHandler { s3: builder.build(), credentials, region: config.region.into() };
    let cors = CorsLayer::new()
        // A presigned URL may be used from any page: access is controlled by the signature, not by the origin.
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
                "x-amz-version-id",
                "x-amz-delete-marker",
            ]
            .map(HeaderName::from_static),
        )
        .max_age(PREFLIGHT_AGE);
    let service = tower::service_fn(move |request| handler.clone().handle(request));
    BoxCloneSyncService::new(tower::ServiceBuilder::new().layer(cors).service(service))
}

#[derive(Clone)]
struct RequestHandler {
    s3: S3Service,
    credentials: Arc<[Credentials]>,
    region: Arc<str>,
}

impl RequestHandler {
    /// Handles a request, logs it and adds the request id.
    async fn handle(self, request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
        let started_at = Instant::now();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let request_id = HEXUPPER.encode(&rand::random::<[u8; 8]>());
        let context = RequestContext::default();
        let mut response = self.handle_request(request, context.clone()).await;
        refusal::complete(&mut response, &context.take_details(), &path, &request_id);
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let duration_ms = u64::try_from(started_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let status = response.status().as_u16();
        // Only the path is logged: the query of a presigned URL is a secret.
        let path = &*logged_path(&path);
        if let Some(error) = context.error() {
            let error = error as &dyn std::error::Error;
            tracing::error!(request.id = request_id, %method, path, status, duration_ms, error, "S3 request failed");
        } else if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(request.id = request_id, %method, path, status, duration_ms, "S3 request failed without a recorded error");
        } else if method != Method::HEAD
            && (response.status().is_client_error() || response.status().is_server_error())
        {
            // A HEAD that returns 404 is an ordinary result, not a refusal.
            tracing::info!(request.id = request_id, %method, path, status, duration_ms, "S3 request refused");
        } else {
            tracing::debug!(request.id = request_id, %method, path, status, duration_ms, "S3 request served");
        }
        Ok(response)
    }

    /// Checks the request and runs its operation.
    async fn handle_request(self, request: Request<RequestBody>, context: RequestContext) -> Response<Body> {
        let (mut parts, incoming) = request.into_parts();
        let expects = parts.headers.contains_key(EXPECT);
        let signed = match sigv4::check(&mut parts, &self.region, OffsetDateTime::now_utc()) {
            Ok(signed) => signed,
            Err(refusal) => {
                if !expects {
                    drain(incoming).await;
                }
                return refuse(refusal, &context);
            }
        };
        if let Err(error) = check_document_length(&parts) {
            if !expects {
                drain(incoming).await;
            }
            return respond(error);
        }
        ignore_malformed_range(&mut parts, &signed);
        join_content_encodings(&mut parts);
        let (body, body_status) = CheckedBody::new(incoming, &parts);
        parts.extensions.insert(context.clone());
        let request = Request::from_parts(parts, Body::http_body_unsync(body));
        // `s3s` logs whole requests and expected signatures at the debug level. Its logs are dropped, so that no
        // configuration of the subscriber can make them visible.
        let result =
            AssertUnwindSafe(self.s3.call(request).with_subscriber(Dispatch::none())).catch_unwind().await;
        let mut response = match result {
            Ok(Ok(response)) => response,
            Ok(Err(_)) | Err(_) => respond(s3_error!(InternalError)),
        };
        let status = response.status();
        if let Some(fault) = body_status.fault()
            && (status.is_server_error() || status == StatusCode::BAD_REQUEST || fault.is_transport())
            && !status.is_success()
        {
            response = refuse(fault.to_refusal(), &context);
        }
        if is_plain_mismatch(&response) {
            response = refuse(signed.mismatch(&self.credentials), &context);
        }
        if let Some(unread) = body_status.take_unread() {
            drain(unread).await;
        }
        response
    }
}

/// The response for an S3 error.
fn respond(error: S3Error) -> Response<Body> {
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// The response for a refusal. Its details are recorded for [`refusal::complete`].
fn refuse(refusal: Refusal, context: &RequestContext) -> Response<Body> {
    context.set_details(refusal.details);
    respond(refusal.error)
}

/// Whether `s3s` has refused a request because its signature is not the expected one. For other reasons it gives a
/// message.
fn is_plain_mismatch(response: &Response<Body>) -> bool {
    let plain = b"<Error><Code>SignatureDoesNotMatch</Code></Error>";
    response.status() == StatusCode::FORBIDDEN
        && response.body().bytes().is_some_and(|document| document.ends_with(plain))
}

/// Reads the rest of a body, up to [`DRAIN_BYTES`] and [`DRAIN_TIME`]. If the connection were closed while the client
/// is sending, the client might never receive the response.
async fn drain(mut body: RequestBody) {
    let reading = async {
        let mut remaining = DRAIN_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, bytes::Bytes::len) as u64;
            match remaining.checked_sub(bytes) {
                Some(rest) => remaining = rest,
                None => break,
            }
        }
    };
    drop(tokio::time::timeout(DRAIN_TIME, reading).await);
}

/// Refuses an XML document in the body that is longer than [`MAX_DOCUMENT_BYTES`], or of unknown length. `s3s` would answer with an
/// internal error.
fn check_document_length(request: &Parts) -> Result<(), S3Error> {
    let has_key = request.uri.path().splitn(3, '/').nth(2).is_some_and(|key| !key.is_empty());
    if !(request.method == Method::POST || request.method == Method::PUT && !has_key) {
        return Ok(());
    }
    let length =
        request.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > MAX_DOCUMENT_BYTES => Err(s3_error!(MaxMessageLengthExceeded)),
        None if request.headers.contains_key(TRANSFER_ENCODING) => Err(s3_error!(MissingContentLength)),
        _ => Ok(()),
    }
}

/// Removes a `Range` header that is malformed or has several ranges: it is to be ignored
/// (<https://www.rfc-editor.org/rfc/rfc9110#section-14.2>). A signed header is kept because the signature covers it;
/// the request is then refused.
fn ignore_malformed_range(request: &mut Parts, signed: &SignedRequest) {
    if signed.covers(RANGE.as_str()) {
        return;
    }
    let malformed =
        |value: &HeaderValue| value.to_str().ok().is_none_or(|range| Range::parse(range).is_err());
    if request.headers.get(RANGE).is_some_and(malformed) {
        request.headers.remove(RANGE);
    }
}

/// Joins several `Content-Encoding` headers into one. SDKs send `aws-chunked` as a second header, which `s3s` refuses.
/// The signature is the same for the joined header.
fn join_content_encodings(request: &mut Parts) {
    let values = request.headers.get_all(CONTENT_ENCODING);
    if values.iter().nth(1).is_some() {
        let joined: Vec<&[u8]> = values.iter().map(HeaderValue::as_bytes).collect();
        if let Ok(value) = HeaderValue::from_bytes(&joined.join(&b","[..])) {
            request.headers.insert(CONTENT_ENCODING, value);
        }
    }
}

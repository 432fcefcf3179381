//! The representation of an object and the response with it: complete, partial, or not modified.

use std::io;
use std::ops::Range;
use std::time::SystemTime;

use axum::body::Body;
use futures::TryStreamExt as _;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::conditional::{Condition, Validators, single_value};
use super::origin::OriginObject;
use super::range::{RequestedRange, requested_range};
use super::refusal::Refusal;

/// What is sent for an object.
pub(super) struct Representation<O> {
    pub(super) size: u64,
    pub(super) validators: Validators,
    pub(super) content_type: String,
    pub(super) content_encoding: Option<String>,
    pub(super) cache_control: &'static str,
    /// The source of its bytes.
    pub(super) object: O,
}

impl<O: OriginObject> Representation<O> {
    /// The response to a GET or HEAD with these headers at `now`.
    ///
    /// # Errors
    /// A refusal if the request's conditions do not hold or its range is not satisfiable.
    pub(super) fn respond(
        self,
        method: &Method,
        request: &HeaderMap,
        now: SystemTime,
    ) -> Result<Response<Body>, Refusal> {
        match self.validators.evaluate(request) {
            Condition::Failed => return Err(Refusal::Precondition),
            Condition::NotModified => return self.not_modified(),
            Condition::Holds => {}
        }
        // Range is defined for GET only.
        let range = single_value(request, RANGE)
            .filter(|_| *method == Method::GET && self.validators.range_applies(request, now))
            .map_or(RequestedRange::Whole, |header| requested_range(header, self.size));
        let (status, part) = match range {
            RequestedRange::Unsatisfiable => return Err(Refusal::Range { size: self.size }),
            RequestedRange::Whole => (StatusCode::OK, 0..self.size),
            RequestedRange::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        };
        let mut headers = self.validator_headers()?;
        set(&mut headers, CONTENT_TYPE, &self.content_type)?;
        if let Some(encoding) = &self.content_encoding {
            set(&mut headers, CONTENT_ENCODING, encoding)?;
        }
        set(&mut headers, CONTENT_LENGTH, &(part.end - part.start).to_string())?;
        if status == StatusCode::PARTIAL_CONTENT {
            let (first, last, size) = (part.start, part.end - 1, self.size);
            set(&mut headers, CONTENT_RANGE, &format!("bytes {first}-{last}/{size}"))?;
        }
        let body = if *method == Method::HEAD { Body::empty() } else { body_of(self.object, part) };
        Ok(response(status, headers, body))
    }

    fn not_modified(&self) -> Result<Response<Body>, Refusal> {
        Ok(response(StatusCode::NOT_MODIFIED, self.validator_headers()?, Body::empty()))
    }

    /// The headers that a 304 has, too.
    fn validator_headers(&self) -> Result<HeaderMap, Refusal> {
        let mut headers = HeaderMap::new();
        set(&mut headers, ETAG, &self.validators.etag)?;
        set(&mut headers, LAST_MODIFIED, &httpdate::fmt_http_date(self.validators.last_modified))?;
        set(&mut headers, CACHE_CONTROL, self.cache_control)?;
        set(&mut headers, ACCEPT_RANGES, "bytes")?;
        set(&mut headers, X_CONTENT_TYPE_OPTIONS, "nosniff")?;
        Ok(headers)
    }
}

fn body_of(object: impl OriginObject, range: Range<u64>) -> Body {
    Body::from_stream(object.into_stream(range).inspect_err(|error| {
        tracing::error!(error = %error, "an object could not be read to its end; its response is cut off");
    }))
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), Refusal> {
    let value = HeaderValue::from_str(value).map_err(|error| Refusal::Origin(io::Error::other(error)))?;
    headers.insert(name, value);
    Ok(())
}

fn response(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

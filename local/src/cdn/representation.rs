//! The representation that a viewer gets of an object: whole, in part, or only told to be unchanged.

use std::io;
use std::ops::Range;
use std::time::SystemTime;

use axum::body::Body;
use bytes::Bytes;
use futures::TryStreamExt as _;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    LAST_MODIFIED, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::conditional::{Condition, Validators, only};
use super::origin::OriginObject;
use super::range::{Wanted, wanted};
use super::refusal::Refusal;

/// What can be sent.
pub(super) struct Representation<O> {
    pub(super) size: u64,
    pub(super) validators: Validators,
    pub(super) content_type: String,
    pub(super) content_encoding: Option<String>,
    pub(super) cache_control: &'static str,
    pub(super) source: Source<O>,
}

/// Where its bytes come from.
pub(super) enum Source<O> {
    /// From the origin, as they are.
    Object(O),
    /// From here: a playlist that was rewritten.
    Memory(Bytes),
}

impl<O: OriginObject> Source<O> {
    fn into_body(self, range: Range<u64>) -> Body {
        match self {
            Self::Object(object) => Body::from_stream(object.into_stream(range).inspect_err(|error| {
                tracing::error!(error = %error, "An object could not be read to its end; its answer is cut off");
            })),
            Self::Memory(bytes) => {
                let at = |position: u64| usize::try_from(position).map_or(bytes.len(), |at| at.min(bytes.len()));
                Body::from(bytes.slice(at(range.start)..at(range.end)))
            }
        }
    }
}

impl<O: OriginObject> Representation<O> {
    /// Answers a GET or HEAD with these headers at `now`.
    ///
    /// # Errors
    /// A refusal when the request's conditions or its range cannot be met.
    pub(super) fn answer(
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
        // A range is defined for GET only.
        let range = only(request, RANGE)
            .filter(|_| *method == Method::GET && self.validators.range_counts(request, now))
            .map_or(Wanted::Whole, |header| wanted(header, self.size));
        let (status, part) = match range {
            Wanted::Unsatisfiable => return Err(Refusal::Range { size: self.size }),
            Wanted::Whole => (StatusCode::OK, 0..self.size),
            Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
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
        let body = if *method == Method::HEAD { Body::empty() } else { self.source.into_body(part) };
        Ok(response(status, headers, body))
    }

    fn not_modified(&self) -> Result<Response<Body>, Refusal> {
        Ok(response(StatusCode::NOT_MODIFIED, self.validator_headers()?, Body::empty()))
    }

    /// The headers that a 304 has as well.
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

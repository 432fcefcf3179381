//! A CDN in memory that checks signatures and keeps the requests.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use streamio_edge::ports::outbound::OutboundError;
use streamio_edge::sign::verify::{VerificationError, verify};
use streamio_events::timestamp::Timestamp;

use crate::config::{CDN, key_pairs};

/// The edge's address, as the CDN sees it.
const EDGE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));

/// The CDN.
#[derive(Default)]
pub(crate) struct Cdn {
    now: Arc<Mutex<Timestamp>>,
    files: Mutex<HashMap<String, (Bytes, Option<&'static str>)>>,
    requests: Mutex<Vec<String>>,
    /// The next answer in place of the file or the refusal.
    pub(crate) next: Mutex<Option<Result<Response<Bytes>, OutboundError>>>,
    /// The answer after the next one, in the same way.
    pub(crate) second: Mutex<Option<Result<Response<Bytes>, OutboundError>>>,
}

impl Cdn {
    pub(crate) fn new(now: Arc<Mutex<Timestamp>>) -> Self {
        Self { now, ..Self::default() }
    }

    /// Stores a file under its encoded key.
    pub(crate) fn publish(&self, key: &str, content: impl Into<Bytes>, etag: Option<&'static str>) {
        self.files.lock().unwrap().insert(format!("{CDN}/{key}"), (content.into(), etag));
    }

    /// The URLs of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// The answer to a request, with CloudFront's codes.
    pub(crate) fn answer(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, OutboundError> {
        let url = request.uri().to_string();
        assert_eq!(request.method(), http::Method::GET);
        assert!(
            request.headers().is_empty(),
            "the CDN gets no credentials but the query: {:?}",
            request.headers()
        );
        self.requests.lock().unwrap().push(url.clone());
        let next = self.next.lock().unwrap().take();
        if let Some(next) = next {
            return next;
        }
        *self.next.lock().unwrap() = self.second.lock().unwrap().take();
        let pairs = key_pairs();
        let keys: Vec<_> = pairs.public_keys().collect();
        let key = |id: &str| keys.iter().find(|(other, _)| *other == id).map(|(_, key)| key);
        let now = self.now.lock().unwrap().unix_seconds();
        if let Err(error) = verify(&url, key, now, Some(EDGE)) {
            let code = match error {
                VerificationError::UnknownKeyPair => "InvalidKey",
                VerificationError::Malformed(_) => "MalformedPolicy",
                _ => "AccessDenied",
            };
            return Ok(response(
                403,
                format!("<Error><Code>{code}</Code><Message>Access denied</Message></Error>"),
            ));
        }
        let path = url.split_once('?').unwrap().0;
        Ok(match self.files.lock().unwrap().get(path) {
            Some((content, etag)) => {
                let mut found = response(200, content.clone());
                if let Some(etag) = etag {
                    found.headers_mut().insert("etag", http::HeaderValue::from_static(etag));
                }
                found
            }
            None => response(404, "<Error><Code>NoSuchKey</Code></Error>"),
        })
    }
}

pub(crate) fn response(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    Response::builder().status(status).body(body.into()).unwrap()
}

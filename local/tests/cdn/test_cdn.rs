//! A CDN in the test process that is called without a network.

use std::net::IpAddr;

use axum::body::to_bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use streamio_local::cdn::{BaseUrl, Cdn, CdnConfig};

use crate::clock::ManualClock;
use crate::memory_origin::MemoryOrigin;
use crate::signer::trusted_keys;

/// The base URL of the CDN.
pub(crate) const BASE: &str = "http://cdn.test:8082";

pub(crate) fn config() -> CdnConfig {
    CdnConfig::new(BaseUrl::parse(BASE).unwrap(), trusted_keys())
}

/// A CDN over a memory origin, with a manual clock.
pub(crate) struct TestCdn {
    cdn: Cdn<MemoryOrigin>,
    pub(crate) clock: ManualClock,
    runtime: tokio::runtime::Runtime,
}

impl TestCdn {
    pub(crate) fn with(origin: MemoryOrigin) -> Self {
        crate::log::collect();
        let clock = ManualClock::at_now();
        let cdn = Cdn::new(origin, config(), clock.for_cdn());
        Self { cdn, clock, runtime: tokio::runtime::Builder::new_current_thread().build().unwrap() }
    }

    /// Sends a GET request without headers.
    pub(crate) fn get(&self, url: &str) -> ViewerResponse {
        self.request(&Method::GET, url, &[])
    }

    pub(crate) fn request(&self, method: &Method, url: &str, headers: &[(&str, &str)]) -> ViewerResponse {
        self.request_from("192.0.2.10", method, url, headers)
    }

    pub(crate) fn request_from(
        &self,
        address: &str,
        method: &Method,
        url: &str,
        headers: &[(&str, &str)],
    ) -> ViewerResponse {
        let target = url.strip_prefix(BASE).unwrap_or(url);
        let mut request = Request::builder().method(method).uri(target);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", BASE.strip_prefix("http://").unwrap());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let head = request.body(()).unwrap().into_parts().0;
        let address: IpAddr = address.parse().unwrap();
        self.runtime.block_on(async {
            let response = self.cdn.handle_request(&head, address).await;
            let (head, body) = response.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
            ViewerResponse { status: head.status, headers: head.headers, body }
        })
    }
}

/// A response with its complete body.
#[derive(Debug)]
pub(crate) struct ViewerResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl ViewerResponse {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The `Code` of the error in the body.
    pub(crate) fn code(&self) -> &str {
        self.between("<Code>", "</Code>")
    }

    /// The `Message` of the error in the body.
    pub(crate) fn message(&self) -> &str {
        self.between("<Message>", "</Message>")
    }

    fn between(&self, start: &str, end: &str) -> &str {
        let text = self.text();
        let start = text.find(start).unwrap_or_else(|| panic!("no {start} in {text:?}")) + start.len();
        &text[start..start + text[start..].find(end).unwrap()]
    }
}

//! Origins of web pages: those that an operator allows, and those of requests.

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ORIGIN};
use http::{HeaderValue, Request, Response};
use streamio_edge::config::AllowedOrigins;
use url::Url;

use crate::api::Api;
use crate::text;

/// A page gets access only if its origin is listed, byte for byte, and a listed origin is one that browsers send. The first line lists
/// origins, separated by spaces, the second is the header `Origin`.
pub fn check(data: &[u8]) {
    let ([listed, origin], _) = text::lines(data);
    let (Some(listed), Ok(origin)) = (text::of(listed), HeaderValue::from_bytes(origin)) else { return };
    let listed: Vec<String> = listed.split(' ').take(4).map(str::to_owned).collect();
    let Some(api) = Api::new(AllowedOrigins::Only(listed.clone())) else { return };
    for listed in &listed {
        let url = Url::parse(listed).expect("a listed origin is a URL");
        assert_eq!(&url.origin().ascii_serialization(), listed);
    }
    for (path, is_public) in [("/videos", false), ("/play/processed/acme/a.mp4.hls/master.m3u8", true)] {
        let mut request = Request::get(path).body(Bytes::new()).expect("it is valid");
        request.headers_mut().insert(ORIGIN, origin.clone());
        let response = api.handle(&request, Response::new(Bytes::new()));
        let allowed = response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN);
        let is_listed = listed.iter().any(|listed| listed.as_bytes() == origin.as_bytes());
        match allowed {
            Some(allowed) if is_listed => assert_eq!(allowed, &origin),
            Some(allowed) => assert!(is_public && allowed == "*", "{allowed:?} for {origin:?}"),
            None => assert!(!is_listed || origin.is_empty(), "{origin:?}"),
        }
        let with_credentials = response.headers().contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS);
        assert_eq!(with_credentials, is_public && is_listed && !origin.is_empty());
    }
}

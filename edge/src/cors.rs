//! Cross-origin requests: which web pages may call the API from a browser. The API knows no cookies, so that an
//! origin gains nothing by calling but what its API key allows. <https://fetch.spec.whatwg.org/#http-cors-protocol>

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

use crate::config::AllowedOrigins;

/// What a page's script may send.
const ALLOWED_HEADERS: &str = "content-type, idempotency-key, x-api-key, x-request-id";
/// What a page's script may see of an answer.
const EXPOSED_HEADERS: &str = "x-request-id, ratelimit, ratelimit-policy, retry-after";
/// How long a browser remembers a preflight's answer, in seconds. Chromium remembers none for longer than two hours.
const MAX_AGE: &str = "7200";

/// Whether this OPTIONS request is a browser's question before a request of a page. An empty header is as good as none.
pub(crate) fn is_preflight(headers: &HeaderMap) -> bool {
    [ORIGIN, ACCESS_CONTROL_REQUEST_METHOD]
        .iter()
        .all(|name| headers.get(name).is_some_and(|value| !value.is_empty()))
}

/// The answer to a preflight for a path with the methods `allow`.
pub(crate) fn preflight(headers: &mut HeaderMap, allow: &HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
}

/// Says in `answer` that the page that asked may read it, if it may. No browser sends two origins, and where all are not
/// allowed, two are none.
pub(crate) fn share(answer: &mut HeaderMap, allowed: &AllowedOrigins, request: &HeaderMap) {
    let mut origins = request.get_all(ORIGIN).iter().filter(|origin| !origin.is_empty());
    let (origin, is_single) = (origins.next(), origins.next().is_none());
    let shared_with = match allowed {
        AllowedOrigins::Any => origin.map(|_| HeaderValue::from_static("*")),
        AllowedOrigins::Only(origins) => {
            // Also where the origin is not allowed: a cache must not serve that answer to one that is.
            answer.append(VARY, HeaderValue::from_static("origin"));
            origin
                .filter(|_| is_single)
                .filter(|origin| origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()))
                .cloned()
        }
    };
    if let Some(shared_with) = shared_with {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, shared_with);
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(allowed: &AllowedOrigins, origin: Option<&'static str>) -> (Option<String>, bool) {
        let (mut answer, mut request) = (HeaderMap::new(), HeaderMap::new());
        for origin in origin.into_iter().flat_map(|origins| origins.split('|')) {
            request.append(ORIGIN, HeaderValue::from_static(origin));
        }
        share(&mut answer, allowed, &request);
        let shared_with =
            answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap().to_owned());
        (shared_with, answer.contains_key(VARY))
    }

    #[test]
    fn an_answer_is_shared_with_allowed_origins_only() {
        let any = AllowedOrigins::Any;
        assert_eq!(shared(&any, Some("https://a.example")), (Some("*".to_owned()), false));
        assert_eq!(shared(&any, None), (None, false));
        assert_eq!(shared(&any, Some("")), (None, false));
        let only = AllowedOrigins::Only(vec!["https://a.example".to_owned(), "https://b.example".to_owned()]);
        assert_eq!(shared(&only, Some("https://b.example")), (Some("https://b.example".to_owned()), true));
        assert_eq!(shared(&any, Some("https://a.example|https://b.example")), (Some("*".to_owned()), false));
        for refused in [
            "https://a.example|https://b.example",
            "https://c.example",
            "http://a.example",
            "https://a.example.evil",
            "null",
            "*",
            "",
        ] {
            assert_eq!(shared(&only, Some(refused)), (None, true), "{refused}");
        }
    }
    #[test]
    fn a_preflight_has_an_origin_and_asks_for_a_method() {
        let is_preflight = |origin: &'static str, method: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
            headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static(method));
            super::is_preflight(&headers)
        };
        assert!(is_preflight("https://a.example", "POST"));
        assert!(!is_preflight("", "POST") && !is_preflight("https://a.example", ""));
        assert!(!super::is_preflight(&HeaderMap::new()));
    }
}

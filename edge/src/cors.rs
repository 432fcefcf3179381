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

/// Whether this OPTIONS request is a browser's question before a request of a page.
pub(crate) fn is_preflight(headers: &HeaderMap) -> bool {
    headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight for a path with the methods `allow`.
pub(crate) fn preflight(headers: &mut HeaderMap, allow: &HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
}

/// Says in `answer` that the page that asked may read it, if it may.
pub(crate) fn share(answer: &mut HeaderMap, allowed: &AllowedOrigins, origin: Option<&HeaderValue>) {
    let shared_with = match allowed {
        AllowedOrigins::Any => origin.map(|_| HeaderValue::from_static("*")),
        AllowedOrigins::Only(origins) => {
            // Also where the origin is not allowed: a cache must not serve that answer to one that is.
            answer.append(VARY, HeaderValue::from_static("origin"));
            origin
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
        let mut answer = HeaderMap::new();
        share(&mut answer, allowed, origin.map(HeaderValue::from_static).as_ref());
        let shared_with =
            answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap().to_owned());
        (shared_with, answer.contains_key(VARY))
    }

    #[test]
    fn an_answer_is_shared_with_allowed_origins_only() {
        let any = AllowedOrigins::Any;
        assert_eq!(shared(&any, Some("https://a.example")), (Some("*".to_owned()), false));
        assert_eq!(shared(&any, None), (None, false));
        let only = AllowedOrigins::Only(vec!["https://a.example".to_owned(), "https://b.example".to_owned()]);
        assert_eq!(shared(&only, Some("https://b.example")), (Some("https://b.example".to_owned()), true));
        for refused in ["https://c.example", "http://a.example", "https://a.example.evil", "null", "*", ""] {
            assert_eq!(shared(&only, Some(refused)), (None, true), "{refused}");
        }
    }
}

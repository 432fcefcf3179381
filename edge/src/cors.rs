//! Cross-origin resource sharing: which web pages may call the API from a browser. The API uses no cookies, so a page can
//! do only what its API key, or the signature of a playlist's URL, allows. <https://fetch.spec.whatwg.org/#http-cors-protocol>

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue};

use crate::config::AllowedOrigins;

/// Who requests a path from a web page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Pages with an API key: those of the allowed origins.
    Clients,
    /// Video players. The URL that they were given is the permission, so pages of every origin may use it, as at the CDN. A player
    /// that sends cookies to the CDN sends its requests for playlists with credentials too; browsers then want the page's own origin
    /// and `Access-Control-Allow-Credentials`, which only listed origins get.
    Players,
}

/// The request headers that scripts may send.
const ALLOWED_HEADERS: &str = "authorization, content-type, idempotency-key, x-api-key, x-request-id";
/// The request headers that players may send. The first four are of CTA-5004 (CMCD).
const PLAYER_HEADERS: &str =
    "cmcd-object, cmcd-request, cmcd-session, cmcd-status, cache-control, if-none-match, range, x-request-id";
/// The response headers that scripts may read.
const EXPOSED_HEADERS: &str = "x-request-id, idempotency-replayed, ratelimit, ratelimit-policy, retry-after";
/// How long a browser caches a preflight response, in seconds. Chromium's maximum is two hours.
const MAX_AGE: &str = "7200";

/// Whether an OPTIONS request with these headers is a preflight. An empty header counts as absent.
pub(crate) fn is_preflight(headers: &HeaderMap) -> bool {
    [ORIGIN, ACCESS_CONTROL_REQUEST_METHOD]
        .iter()
        .all(|name| headers.get(name).is_some_and(|value| !value.is_empty()))
}

/// Adds the response headers of a preflight for a path with the methods `allow`.
pub(crate) fn preflight(headers: &mut HeaderMap, audience: Audience, allow: &HeaderValue) {
    let names = match audience {
        Audience::Clients => ALLOWED_HEADERS,
        Audience::Players => PLAYER_HEADERS,
    };
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(names));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
}

/// Adds the headers to `response` that let the requesting page read it, if its origin may; where every page may, to all responses, so that
/// they are the same for all requests. Browsers send one
/// origin; several count as an origin that is not listed.
pub(crate) fn share(
    response: &mut HeaderMap,
    allowed: &AllowedOrigins,
    audience: Audience,
    request: &HeaderMap,
) {
    let mut origins = request.get_all(ORIGIN).iter().filter(|origin| !origin.is_empty());
    let (origin, is_single) = (origins.next(), origins.next().is_none());
    let everyone = HeaderValue::from_static("*");
    let allow_origin = match allowed {
        // Also without an origin: a cache may keep the response for a page.
        AllowedOrigins::Any => Some(everyone),
        AllowedOrigins::Only(listed) => {
            // Needed even if the origin is not allowed: a cache must not serve that response to an allowed origin.
            response.append(VARY, HeaderValue::from_static("origin"));
            let own = origin
                .filter(|_| is_single)
                .filter(|origin| listed.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()));
            match (own, audience) {
                (Some(own), Audience::Players) => {
                    response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
                    Some(own.clone())
                }
                (Some(own), Audience::Clients) => Some(own.clone()),
                (None, Audience::Players) => origin.map(|_| everyone),
                (None, Audience::Clients) => None,
            }
        }
    };
    if let Some(allow_origin) = allow_origin {
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allow_origin);
        response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response_to(allowed: &AllowedOrigins, audience: Audience, origin: Option<&'static str>) -> HeaderMap {
        let (mut response, mut request) = (HeaderMap::new(), HeaderMap::new());
        for origin in origin.into_iter().flat_map(|origins| origins.split('|')) {
            request.append(ORIGIN, HeaderValue::from_static(origin));
        }
        share(&mut response, allowed, audience, &request);
        response
    }

    fn shared(allowed: &AllowedOrigins, origin: Option<&'static str>) -> (Option<String>, bool) {
        let response = response_to(allowed, Audience::Clients, origin);
        assert!(!response.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        let allow_origin =
            response.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap().to_owned());
        (allow_origin, response.contains_key(VARY))
    }

    #[test]
    fn players_of_all_origins_may_read_playlists_and_those_of_listed_origins_with_credentials() {
        let only = AllowedOrigins::Only(vec!["https://a.example".to_owned()]);
        for (allowed, origin, expected) in [
            (&AllowedOrigins::Any, Some("https://a.example"), (Some("*"), None, None)),
            (&AllowedOrigins::Any, None, (Some("*"), None, None)),
            (&only, Some("https://a.example"), (Some("https://a.example"), Some("true"), Some("origin"))),
            (&only, Some("https://b.example"), (Some("*"), None, Some("origin"))),
            (&only, Some("https://a.example|https://b.example"), (Some("*"), None, Some("origin"))),
            (&only, None, (None, None, Some("origin"))),
        ] {
            let response = response_to(allowed, Audience::Players, origin);
            let value = |name| response.get(name).map(|value: &HeaderValue| value.to_str().unwrap());
            let found =
                (value(ACCESS_CONTROL_ALLOW_ORIGIN), value(ACCESS_CONTROL_ALLOW_CREDENTIALS), value(VARY));
            assert_eq!(found, expected, "{origin:?}");
        }
    }

    #[test]
    fn a_response_is_shared_with_allowed_origins_only() {
        let any = AllowedOrigins::Any;
        assert_eq!(shared(&any, Some("https://a.example")), (Some("*".to_owned()), false));
        assert_eq!(shared(&any, None), (Some("*".to_owned()), false));
        assert_eq!(shared(&any, Some("")), (Some("*".to_owned()), false));
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
    fn a_preflight_has_an_origin_and_a_requested_method() {
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

//! The HTTP request of a webhook.

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{Method, Request, Uri};
use http_body_util::Full;
use streamio_events::webhook::endpoint_url::EndpointUrl;
use streamio_events::webhook::exchange::{ErrorClass, ExchangeError};

/// Headers that frame the message or belong to the connection.
const OWN: [HeaderName; 9] =
    [CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

const AGENT: HeaderValue = HeaderValue::from_static(concat!("Streamio/", env!("CARGO_PKG_VERSION")));

/// The request to `url` in the form that a connection sends.
pub(super) fn http(
    url: &EndpointUrl,
    mut headers: HeaderMap,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, ExchangeError> {
    for name in OWN {
        headers.remove(name);
    }
    let invalid = || {
        let message =
            "the URL contains characters that cannot be sent; percent-encode them and update the endpoint";
        ExchangeError::new(ErrorClass::UrlRefused, message)
    };
    let target: Uri = url.path_and_query().parse().map_err(|_| invalid())?;
    headers.insert(HOST, HeaderValue::from_str(url.authority()).map_err(|_| invalid())?);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.entry(USER_AGENT).or_insert(AGENT);
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use streamio_events::webhook::endpoint_url::Rules;

    use super::*;

    proptest! {
        #[test]
        fn path_and_query_of_every_valid_url_are_sent_unchanged(
            path in "(/[a-zA-Z0-9._~!$&'()*+,;=:@/-]{0,6}|%[0-9a-fA-F]{2}){0,3}",
            query in "(\\?[a-zA-Z0-9._~!$&'()*+,;=:@/?%-]{0,8})?",
        ) {
            if let Ok(url) = EndpointUrl::parse(&format!("https://hooks.example/{path}{query}"), &Rules::default()) {
                let request = http(&url, HeaderMap::new(), Bytes::new()).unwrap();
                prop_assert_eq!(request.uri().to_string(), url.path_and_query());
            }
        }
    }

    #[test]
    fn headers_of_the_connection_are_the_senders_own() {
        let url = EndpointUrl::parse("https://hooks.example:8443/a", &Rules::default()).unwrap();
        let mut headers = HeaderMap::new();
        for name in OWN {
            headers.append(name.clone(), HeaderValue::from_static("1"));
            headers.append(name, HeaderValue::from_static("2"));
        }
        headers.insert("webhook-id", HeaderValue::from_static("msg_1"));
        let request = http(&url, headers, Bytes::new()).unwrap();
        let mut sent: Vec<_> =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        sent.sort_unstable();
        let agent = AGENT.to_str().unwrap().to_owned();
        let expected = [
            ("connection", "close"),
            ("host", "hooks.example:8443"),
            ("user-agent", &agent),
            ("webhook-id", "msg_1"),
        ];
        assert_eq!(sent, expected);
    }
}

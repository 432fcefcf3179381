//! Every reason to deny access, and that a denial does not reveal whether an object exists.

use http::{Method, StatusCode};
use streamio_events::timestamp::Timestamp;

use crate::clock::NOW;
use crate::memory_origin::MemoryOrigin;
use crate::signer::{ANY, cookies, policy, signed, url_safe};
use crate::test_cdn::{BASE, TestCdn};

fn test_cdn() -> TestCdn {
    TestCdn::with(MemoryOrigin::default().with("a", "", "bytes"))
}

/// Splits parameters into names and values.
fn parameters(text: &str) -> Vec<(&str, &str)> {
    text.split('&').map(|pair| pair.split_once('=').unwrap()).collect()
}

fn without<'a>(pairs: &[(&'a str, &'a str)], name: &str) -> String {
    join(pairs.iter().copied().filter(|pair| pair.0 != name))
}

fn with<'a>(pairs: &[(&'a str, &'a str)], name: &str, value: &'a str) -> String {
    join(pairs.iter().map(|pair| if pair.0 == name { (pair.0, value) } else { *pair }))
}

fn join<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[test]
fn each_fault_is_refused_with_its_code_in_a_url_and_in_cookies() {
    let url = format!("{BASE}/a");
    let canned = ANY.canned(&url, NOW + 60);
    let canned = parameters(&canned);
    let allowed = policy(&url, NOW + 60, None, None);
    let custom = ANY.custom(&allowed);
    let custom = parameters(&custom);
    let signed_text = |text: &str| ANY.custom(text);
    let faults = [
        ("MissingKey", without(&canned, "Key-Pair-Id")),
        ("MissingKey", with(&canned, "Key-Pair-Id", "")),
        ("MissingKey", "Expires=1".to_owned()),
        ("MissingKey", "Hash-Algorithm=SHA256".to_owned()),
        ("InvalidKey", with(&canned, "Key-Pair-Id", "KUNKNOWN")),
        ("MissingSignature", without(&canned, "Signature")),
        ("MissingSignature", with(&custom, "Signature", "")),
        ("MissingPolicy", without(&canned, "Expires")),
        ("MissingPolicy", without(&custom, "Policy")),
        ("MalformedSignature", with(&canned, "Signature", "not+base64")),
        ("MalformedSignature", with(&custom, "Signature", "abc")),
        ("MalformedPolicy", with(&canned, "Expires", "tomorrow")),
        ("MalformedPolicy", with(&canned, "Expires", "")),
        ("MalformedPolicy", with(&canned, "Expires", "1893456060000")),
        ("MalformedPolicy", with(&custom, "Policy", "not+base64")),
        ("MalformedPolicy", signed_text("{}")),
        ("MalformedPolicy", signed_text(&allowed.replace("Resource", "resource"))),
        ("MalformedPolicy", signed_text(&allowed.replace("DateLessThan", "DateGreaterThan"))),
        ("AccessDenied", format!("{}&Expires={}", join(custom.iter().copied()), NOW + 60)),
        ("AccessDenied", format!("{0}&{0}", join(canned.iter().copied()))),
        ("AccessDenied", format!("{}&Key-Pair-Id={}", join(custom.iter().copied()), ANY.key_pair_id)),
        ("AccessDenied", with(&canned, "Hash-Algorithm", "SHA512")),
        ("AccessDenied", with(&canned, "Hash-Algorithm", "")),
        ("AccessDenied", with(&canned, "Signature", &url_safe(&[0; 70]))),
        (
            "AccessDenied",
            with(&canned, "Signature", "")
                .replace("Signature=", &format!("Signature={}", ANY.signature("something else"))),
        ),
        ("AccessDenied", signed_text(&policy(&format!("{BASE}/b"), NOW + 60, None, None))),
        ("AccessDenied", signed_text(&policy("http://127.0.0.1/*", NOW + 60, None, None))),
        ("AccessDenied", signed_text(&policy(&url, NOW, None, None))),
        ("AccessDenied", signed_text(&policy(&url, NOW + 60, Some(NOW + 1), None))),
        ("AccessDenied", signed_text(&policy(&url, NOW + 60, None, Some("198.51.100.0/24")))),
        ("AccessDenied", signed_text(&policy("*", NOW + 60, None, Some("192.0.2.11/32")))),
    ];
    let cdn = test_cdn();
    let mut messages = Vec::new();
    for (code, parameters) in &faults {
        let by_url = cdn.get(&signed(&url, parameters));
        let cookie = cookies(parameters);
        let by_cookie = cdn.request(&Method::GET, &url, &[("cookie", &cookie)]);
        for response in [&by_url, &by_cookie] {
            assert_eq!(response.status, StatusCode::FORBIDDEN, "{parameters}");
            assert_eq!(response.code(), *code, "{parameters}");
            assert_eq!(response.header("content-type"), "text/xml");
            assert_eq!(response.header("cache-control"), "no-store");
        }
        assert_eq!(by_url.text(), by_cookie.text(), "{parameters}");
        messages.push(by_url.message().to_owned());
    }
    messages.dedup();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn a_refusal_says_what_differs() {
    let cdn = test_cdn();
    let url = format!("{BASE}/a");
    let elements = |text: &str| {
        let response = cdn.get(&signed(&url, &ANY.custom(text)));
        assert_eq!((response.status, response.code()), (StatusCode::FORBIDDEN, "AccessDenied"));
        let (_, after) = response.text().split_once("</Message>").unwrap();
        after.strip_suffix("</Error>").unwrap().to_owned()
    };
    let time = |seconds| Timestamp::from_unix_seconds(seconds).to_string();
    assert_eq!(
        elements(&policy(&url, NOW - 1, None, None)),
        format!("<Expires>{}</Expires><ServerTime>{}</ServerTime>", time(NOW - 1), time(NOW))
    );
    assert_eq!(
        elements(&policy(&url, NOW + 60, Some(NOW + 1), None)),
        format!("<NotBefore>{}</NotBefore><ServerTime>{}</ServerTime>", time(NOW + 1), time(NOW))
    );
    assert_eq!(
        elements(&policy(&url, NOW + 60, None, Some("198.51.100.0/24"))),
        "<SourceIp>198.51.100.0/24</SourceIp><ViewerIp>192.0.2.10</ViewerIp>"
    );
    let other = policy(&format!("{BASE}/b?<&>*"), NOW + 60, None, None);
    assert_eq!(elements(&other), format!("<Resource>{BASE}/b?&lt;&amp;&gt;*</Resource>"));
    let put = cdn.request(&Method::PUT, &url, &[]);
    assert_eq!((put.status, put.code()), (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"));
    assert!(put.text().contains("<Method>PUT</Method>"), "{}", put.text());
}

#[test]
fn a_request_without_credentials_is_refused_with_a_missing_key() {
    let response = test_cdn().get(&format!("{BASE}/a"));
    assert_eq!(response.status, StatusCode::FORBIDDEN);
    insta::assert_snapshot!(response.text(), @r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>MissingKey</Code><Message>Missing Key-Pair-Id query parameter or cookie value</Message></Error>"#);
}

#[test]
fn a_signed_url_has_precedence_over_cookies_even_if_it_is_wrong() {
    let cdn = test_cdn();
    let url = format!("{BASE}/a");
    let good = ANY.canned(&url, NOW + 60);
    let cookie = cookies(&good);
    let headers = [("cookie", cookie.as_str())];
    assert_eq!(cdn.request(&Method::GET, &url, &headers).status, StatusCode::OK);
    for parameters in ["Expires=1", "Policy=", "Signature", "Key-Pair-Id=K", "Hash-Algorithm=SHA256"] {
        let response = cdn.request(&Method::GET, &signed(&url, parameters), &headers);
        assert_eq!(response.status, StatusCode::FORBIDDEN, "{parameters}");
    }
    let expired = cookies(&ANY.canned(&url, NOW));
    let response = cdn.request(&Method::GET, &signed(&url, &good), &[("cookie", &expired)]);
    assert_eq!(response.status, StatusCode::OK);
}

#[test]
fn other_cookies_are_ignored_and_cookie_headers_are_combined() {
    let cdn = test_cdn();
    let url = format!("{BASE}/a");
    let cookie = cookies(&ANY.canned(&url, NOW + 60));
    let with_others = format!("session=a=b; {cookie}; theme=\"d\u{e4}rk\"; CloudFront-Other=1; Policy=x");
    assert_eq!(cdn.request(&Method::GET, &url, &[("cookie", &with_others)]).status, StatusCode::OK);
    let separate: Vec<_> = cookie.split("; ").map(|cookie| ("cookie", cookie)).collect();
    assert_eq!(cdn.request(&Method::GET, &url, &separate).status, StatusCode::OK);
    let without_spaces = cookie.replace("; ", ";");
    assert_eq!(cdn.request(&Method::GET, &url, &[("cookie", &without_spaces)]).status, StatusCode::OK);
    for twice in [format!("{cookie}; {cookie}"), format!("{cookie}; CloudFront-Policy=x")] {
        assert_eq!(cdn.request(&Method::GET, &url, &[("cookie", &twice)]).status, StatusCode::FORBIDDEN);
    }
    let lower = cookie.to_lowercase();
    assert_eq!(cdn.request(&Method::GET, &url, &[("cookie", &lower)]).code(), "MissingKey");
}

#[test]
fn a_denial_does_not_reveal_whether_an_object_exists() {
    let cdn = test_cdn();
    let expired = ANY.custom(&policy("*", NOW, None, None));
    let elsewhere = ANY.custom(&policy(&format!("{BASE}/other/*"), NOW + 60, None, None));
    for parameters in ["x=1", "Key-Pair-Id=K", &expired, &elsewhere] {
        for method in [Method::GET, Method::HEAD] {
            let existing = cdn.request(&method, &signed(&format!("{BASE}/a"), parameters), &[]);
            let missing = cdn.request(&method, &signed(&format!("{BASE}/b"), parameters), &[]);
            assert_eq!(existing.status, StatusCode::FORBIDDEN);
            assert_eq!(existing.status, missing.status);
            assert_eq!(existing.headers, missing.headers);
            assert_eq!(existing.body, missing.body);
        }
    }
    let allowed = ANY.custom(&policy("*", NOW + 60, None, None));
    let response = cdn.get(&signed(&format!("{BASE}/b"), &allowed));
    assert_eq!((response.status, response.code()), (StatusCode::NOT_FOUND, "NoSuchKey"));
    let response = cdn.get(&signed(&format!("{BASE}/"), &allowed));
    assert_eq!((response.status, response.code()), (StatusCode::NOT_FOUND, "NoSuchKey"));
}

#[test]
fn the_viewers_address_is_that_of_the_connection_regardless_of_headers() {
    let cdn = test_cdn();
    let url = format!("{BASE}/a");
    let url = signed(&url, &ANY.custom(&policy(&url, NOW + 60, None, Some("192.0.2.0/28"))));
    let forged_headers = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")];
    for (address, expected) in [
        ("192.0.2.0", 200),
        ("192.0.2.15", 200),
        ("::ffff:192.0.2.15", 200),
        ("192.0.2.16", 403),
        ("192.0.1.255", 403),
        ("2001:db8::1", 403),
    ] {
        let response = cdn.request_from(address, &Method::GET, &url, &forged_headers);
        assert_eq!(response.status.as_u16(), expected, "{address}");
    }
}

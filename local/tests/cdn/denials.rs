//! Every reason to refuse a viewer, and that a refused viewer learns nothing.

use http::{Method, StatusCode};

use crate::clock::NOW;
use crate::memory_origin::MemoryOrigin;
use crate::signer::{ANY, cookies, policy, signed, url_safe};
use crate::viewer::{BASE, Stage};

fn stage() -> Stage {
    Stage::with(MemoryOrigin::default().with("a", "", "bytes"))
}

/// Parameters for the URL of `a`, as name and value.
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
    let stage = stage();
    let mut messages = Vec::new();
    for (code, parameters) in &faults {
        let by_url = stage.get(&signed(&url, parameters));
        let cookie = cookies(parameters);
        let by_cookie = stage.ask(&Method::GET, &url, &[("cookie", &cookie)]);
        for answer in [&by_url, &by_cookie] {
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{parameters}");
            assert_eq!(answer.code(), *code, "{parameters}");
            assert_eq!(answer.header("content-type"), "text/xml");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
        assert_eq!(by_url.text(), by_cookie.text(), "{parameters}");
        messages.push(by_url.message().to_owned());
    }
    messages.dedup();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn a_viewer_without_credentials_is_told_that_the_key_is_missing() {
    let answer = stage().get(&format!("{BASE}/a"));
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    insta::assert_snapshot!(answer.text(), @r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>MissingKey</Code><Message>Missing Key-Pair-Id query parameter or cookie value</Message></Error>"#);
}

#[test]
fn a_signed_url_wins_over_cookies_even_when_it_is_wrong() {
    let stage = stage();
    let url = format!("{BASE}/a");
    let good = ANY.canned(&url, NOW + 60);
    let cookie = cookies(&good);
    let headers = [("cookie", cookie.as_str())];
    assert_eq!(stage.ask(&Method::GET, &url, &headers).status, StatusCode::OK);
    for parameters in ["Expires=1", "Policy=", "Signature", "Key-Pair-Id=K", "Hash-Algorithm=SHA256"] {
        let answer = stage.ask(&Method::GET, &signed(&url, parameters), &headers);
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{parameters}");
    }
    let expired = cookies(&ANY.canned(&url, NOW));
    let answer = stage.ask(&Method::GET, &signed(&url, &good), &[("cookie", &expired)]);
    assert_eq!(answer.status, StatusCode::OK);
}

#[test]
fn other_cookies_do_not_matter_and_several_cookie_headers_are_one() {
    let stage = stage();
    let url = format!("{BASE}/a");
    let cookie = cookies(&ANY.canned(&url, NOW + 60));
    let among = format!("session=a=b; {cookie}; theme=\"d\u{e4}rk\"; CloudFront-Other=1; Policy=x");
    assert_eq!(stage.ask(&Method::GET, &url, &[("cookie", &among)]).status, StatusCode::OK);
    let apart: Vec<_> = cookie.split("; ").map(|cookie| ("cookie", cookie)).collect();
    assert_eq!(stage.ask(&Method::GET, &url, &apart).status, StatusCode::OK);
    let tight = cookie.replace("; ", ";");
    assert_eq!(stage.ask(&Method::GET, &url, &[("cookie", &tight)]).status, StatusCode::OK);
    for twice in [format!("{cookie}; {cookie}"), format!("{cookie}; CloudFront-Policy=x")] {
        assert_eq!(stage.ask(&Method::GET, &url, &[("cookie", &twice)]).status, StatusCode::FORBIDDEN);
    }
    let lower = cookie.to_lowercase();
    assert_eq!(stage.ask(&Method::GET, &url, &[("cookie", &lower)]).code(), "MissingKey");
}

#[test]
fn a_refused_viewer_cannot_tell_whether_an_object_exists() {
    let stage = stage();
    let expired = ANY.custom(&policy("*", NOW, None, None));
    let elsewhere = ANY.custom(&policy(&format!("{BASE}/other/*"), NOW + 60, None, None));
    for parameters in ["x=1", "Key-Pair-Id=K", &expired, &elsewhere] {
        for method in [Method::GET, Method::HEAD] {
            let there = stage.ask(&method, &signed(&format!("{BASE}/a"), parameters), &[]);
            let not = stage.ask(&method, &signed(&format!("{BASE}/b"), parameters), &[]);
            assert_eq!(there.status, StatusCode::FORBIDDEN);
            assert_eq!(there.status, not.status);
            assert_eq!(there.headers, not.headers);
            assert_eq!(there.body, not.body);
        }
    }
    let allowed = ANY.custom(&policy("*", NOW + 60, None, None));
    let answer = stage.get(&signed(&format!("{BASE}/b"), &allowed));
    assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "NoSuchKey"));
    let answer = stage.get(&signed(&format!("{BASE}/"), &allowed));
    assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, "NoSuchKey"));
}

#[test]
fn the_viewers_address_is_the_connections_whatever_headers_claim() {
    let stage = stage();
    let url = format!("{BASE}/a");
    let url = signed(&url, &ANY.custom(&policy(&url, NOW + 60, None, Some("192.0.2.0/28"))));
    let claims = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")];
    for (address, expected) in [
        ("192.0.2.0", 200),
        ("192.0.2.15", 200),
        ("::ffff:192.0.2.15", 200),
        ("192.0.2.16", 403),
        ("192.0.1.255", 403),
        ("2001:db8::1", 403),
    ] {
        let answer = stage.ask_from(address, &Method::GET, &url, &claims);
        assert_eq!(answer.status.as_u16(), expected, "{address}");
    }
}

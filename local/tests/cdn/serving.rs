//! Responses to allowed requests.

use http::{Method, StatusCode};
use proptest::prelude::*;

use crate::clock::NOW;
use crate::memory_origin::MemoryOrigin;
use crate::signer::{ANY, policy, signed};
use crate::test_cdn::{BASE, TestCdn, ViewerResponse};

const SEGMENT: &str = "processed/acme/clip.MOV.hls/g1-a1/v0/1.m4s";

fn test_cdn() -> TestCdn {
    TestCdn::with(
        MemoryOrigin::default()
            .with("processed/acme/clip.MOV", "video/mp4", vec![7; 2500])
            .with(SEGMENT, "video/iso.segment", "segment")
            .with("processed/acme/a b+c%\u{e9}.mp4", "video/mp4", "strange")
            .with("bad-type", "text/\u{7f}", "x")
            .with("empty", "video/mp4", ""),
    )
}

/// A signed URL of the path.
fn signed_url(path: &str) -> String {
    signed(&format!("{BASE}/{path}"), &ANY.custom(&policy("*", NOW + 1000, None, None)))
}

fn headers(response: &ViewerResponse) -> String {
    let mut lines: Vec<_> =
        response.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    format!("{}\n{}", response.status, lines.join("\n"))
}

#[test]
fn an_object_is_sent_with_all_headers() {
    let response = test_cdn().get(&signed_url("processed/acme/clip.MOV"));
    assert_eq!(response.body, vec![7; 2500]);
    insta::assert_snapshot!(headers(&response), @r#"
    200 OK
    accept-ranges: bytes
    cache-control: private, max-age=5
    content-length: 2500
    content-type: video/mp4
    etag: "etag-of-23"
    last-modified: Mon, 31 Dec 2029 23:00:00 GMT
    x-content-type-options: nosniff
    "#);
}

#[test]
fn head_is_get_without_a_body_and_ignores_ranges() {
    let cdn = test_cdn();
    let get = cdn.get(&signed_url("processed/acme/clip.MOV"));
    let head = cdn.request(&Method::HEAD, &signed_url("processed/acme/clip.MOV"), &[("range", "bytes=0-0")]);
    assert_eq!((head.status, &head.headers, head.body.len()), (StatusCode::OK, &get.headers, 0));
}

#[test]
fn outputs_of_an_attempt_are_immutable() {
    let response = test_cdn().get(&signed_url(SEGMENT));
    assert_eq!(response.header("cache-control"), "private, max-age=31536000, immutable");
    assert_eq!(response.header("content-type"), "video/iso.segment");
}

#[test]
fn a_range_is_sent_with_its_content_range() {
    let response = test_cdn().request(&Method::GET, &signed_url(SEGMENT), &[("range", "bytes=2-4")]);
    assert_eq!(response.text(), "gme");
    insta::assert_snapshot!(headers(&response), @r#"
    206 Partial Content
    accept-ranges: bytes
    cache-control: private, max-age=31536000, immutable
    content-length: 3
    content-range: bytes 2-4/7
    content-type: video/iso.segment
    etag: "etag-of-42"
    last-modified: Mon, 31 Dec 2029 23:00:00 GMT
    x-content-type-options: nosniff
    "#);
    let response = test_cdn().request(&Method::GET, &signed_url(SEGMENT), &[("range", "bytes=7-")]);
    assert_eq!((response.status, response.code()), (StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange"));
    assert_eq!(response.header("content-range"), "bytes */7");
}

#[test]
fn a_viewer_that_has_the_object_receives_not_modified() {
    let cdn = test_cdn();
    let url = signed_url(SEGMENT);
    let response =
        cdn.request(&Method::GET, &url, &[("if-none-match", "\"etag-of-42\""), ("range", "bytes=0-1")]);
    assert!(response.body.is_empty());
    insta::assert_snapshot!(headers(&response), @r#"
    304 Not Modified
    accept-ranges: bytes
    cache-control: private, max-age=31536000, immutable
    etag: "etag-of-42"
    last-modified: Mon, 31 Dec 2029 23:00:00 GMT
    x-content-type-options: nosniff
    "#);
    let since = |date: &str| cdn.request(&Method::HEAD, &url, &[("if-modified-since", date)]).status;
    assert_eq!(since("Mon, 31 Dec 2029 23:00:00 GMT"), StatusCode::NOT_MODIFIED);
    assert_eq!(since("Mon, 31 Dec 2029 22:59:59 GMT"), StatusCode::OK);
    let response = cdn.request(&Method::GET, &url, &[("if-match", "\"other\"")]);
    assert_eq!((response.status, response.code()), (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"));
    let unmodified =
        cdn.request(&Method::GET, &url, &[("if-unmodified-since", "Mon, 31 Dec 2029 22:59:59 GMT")]);
    assert_eq!(unmodified.status, StatusCode::PRECONDITION_FAILED);
}

#[test]
fn a_range_applies_only_to_the_version_that_if_range_names() {
    let cdn = test_cdn();
    let status = |if_range: &str| {
        let response = cdn.request(
            &Method::GET,
            &signed_url(SEGMENT),
            &[("range", "bytes=1-1"), ("if-range", if_range)],
        );
        assert_eq!(response.body.len(), if response.status == StatusCode::OK { 7 } else { 1 });
        response.status.as_u16()
    };
    assert_eq!(status("\"etag-of-42\""), 206);
    assert_eq!(status("Mon, 31 Dec 2029 23:00:00 GMT"), 206);
    assert_eq!(status("\"other\""), 200);
    assert_eq!(status("W/\"etag-of-42\""), 200);
    assert_eq!(status("Mon, 31 Dec 2029 23:00:01 GMT"), 200);
}

#[test]
fn authorisation_is_checked_before_conditions_and_ranges() {
    let url = format!("{BASE}/{SEGMENT}");
    for header in [("if-none-match", "*"), ("if-match", "\"x\""), ("range", "bytes=100-")] {
        assert_eq!(
            test_cdn().request(&Method::GET, &url, &[header]).status,
            StatusCode::FORBIDDEN,
            "{header:?}"
        );
    }
}

#[test]
fn an_empty_object_is_sent_and_has_no_ranges() {
    let cdn = test_cdn();
    let response = cdn.get(&signed_url("empty"));
    assert_eq!((response.status, response.header("content-length")), (StatusCode::OK, "0"));
    let response = cdn.request(&Method::GET, &signed_url("empty"), &[("range", "bytes=0-0")]);
    assert_eq!(
        (response.status, response.header("content-range")),
        (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */0")
    );
}

#[test]
fn keys_with_special_characters_are_served_by_their_encoded_path() {
    let path = "processed/acme/a%20b%2Bc%25%C3%A9.mp4";
    let url = format!("{BASE}/{path}");
    let response = test_cdn().get(&signed(&url, &ANY.canned(&url, NOW + 60)));
    assert_eq!(response.text(), "strange");
}

#[test]
fn a_malformed_path_is_a_bad_request_with_and_without_authorisation() {
    for path in ["%", "%4", "%zz", "a%ff", "%c3%28"] {
        for url in [signed_url(path), format!("{BASE}/{path}")] {
            let response = test_cdn().get(&url);
            assert_eq!((response.status, response.code()), (StatusCode::BAD_REQUEST, "InvalidURI"), "{path}");
        }
    }
}

#[test]
fn only_read_methods_are_allowed() {
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::CONNECT, Method::TRACE] {
        let response = test_cdn().request(&method, &signed_url(SEGMENT), &[]);
        assert_eq!(
            (response.status, response.code()),
            (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
            "{method}"
        );
        assert_eq!(response.header("allow"), "GET, HEAD, OPTIONS");
    }
}

#[test]
fn requests_for_another_host_are_misdirected() {
    let url = signed_url(SEGMENT);
    let status = |host: &str| test_cdn().request(&Method::GET, &url, &[("host", host)]).status.as_u16();
    assert_eq!(status("cdn.test:8082"), 200);
    assert_eq!(status("CDN.TEST:8082"), 200);
    for other in ["cdn.test", "cdn.test:80", "localhost:8082", "127.0.0.1:8082", "", "x@cdn.test:8082"] {
        assert_eq!(status(other), 421, "{other}");
    }
    let twice = test_cdn().request(&Method::GET, &url, &[("host", "cdn.test:8082"), ("host", "evil.test")]);
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
    let absolute = url.replace("cdn.test", "evil.test");
    assert_eq!(test_cdn().get(&absolute).status, StatusCode::MISDIRECTED_REQUEST);
    let response = test_cdn().request(&Method::GET, &url, &[("host", "evil.test")]);
    insta::assert_snapshot!(response.text(), @r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>MisdirectedRequest</Code><Message>This host is not the host of the CDN. Use the URL as it was signed.</Message></Error>"#);
}

#[test]
fn a_failing_origin_is_an_internal_error_without_details() {
    let response = test_cdn().get(&signed_url("broken"));
    assert_eq!((response.status, response.code()), (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"));
    assert!(!response.text().contains("disk"));
    assert_eq!(test_cdn().get(&signed_url("bad-type")).status, StatusCode::INTERNAL_SERVER_ERROR);
}

proptest! {
    #[test]
    fn no_request_makes_the_cdn_panic_or_fail(
        path in r"/[ -~]{0,20}",
        names in prop::collection::vec(
            prop::sample::select(vec!["range", "if-range", "if-none-match", "if-match", "if-modified-since", "cookie", "host", "origin"]),
            0..4,
        ),
        values in prop::collection::vec(r#"[ -~]{0,30}|bytes=[0-9,\-]{0,12}|("[a-z ]{0,4}",? ?){0,3}"#, 4),
    ) {
        let url = if path.len() % 2 == 0 { path } else { signed_url(SEGMENT) };
        prop_assume!(http::Request::builder().uri(url.as_str()).body(()).is_ok());
        let headers: Vec<_> = names.iter().zip(&values).map(|(name, value)| (*name, value.as_str())).collect();
        let status = test_cdn().request(&Method::GET, &url, &headers).status.as_u16();
        prop_assert!(status < 500, "{} {:?}: {}", url, headers, status);
    }
}

//! Tests of refused requests: signatures, and calls that are malformed or unknown.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials as AwsCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use streamio_edge::home::Service;
use streamio_edge::sign::sigv4::{Credentials, Payload, RequestParts, Signer};
use streamio_events::home::{Home as _, HomeCall, HomeReply, MAX_CALL_BYTES, ReplyError};

use super::harness::{HomeHarness, REGION, SECRET, acme, credentials, video};
use crate::clock;

const CALL: &str = r#"{"call":"video","projectId":"acme","videoId":"vid_tbkj5m62dvafwldlqbvftya3f3"}"#;

/// Returns a call as the edge sends it, signed by `signer` at the current time plus `skew` seconds.
fn signed(harness: &HomeHarness, signer: &Signer, skew: i64) -> Request<Bytes> {
    let parts = RequestParts {
        method: &Method::POST,
        origin: &harness.url,
        path: "/home",
        query: &[],
        headers: &[("content-type".into(), "application/json".into())],
    };
    let now = clock::now().unix_seconds() + skew;
    let authorized = signer.sign(&parts, Payload::Bytes(CALL.as_bytes()), now).unwrap();
    let mut request = Request::post(authorized.url).body(Bytes::from(CALL)).unwrap();
    *request.headers_mut() = authorized.headers;
    request
}

fn signer_of(credentials: Credentials, region: &str, service: &str) -> Signer {
    Signer::new(credentials, region, service).unwrap()
}

fn edge_signer() -> Signer {
    signer_of(credentials("EDGE"), REGION, "lambda")
}

async fn outcome(harness: &HomeHarness, request: Request<Bytes>) -> (StatusCode, String) {
    let response = harness.send(request).await;
    let text = match serde_json::from_slice(response.body()).unwrap() {
        HomeReply::Ok(answer) => format!("ok: {}", answer.name()),
        HomeReply::Error(ReplyError::Refused { text }) => text,
        HomeReply::Error(error) => panic!("{error}"),
    };
    assert!(!text.contains(SECRET));
    (response.status(), text)
}

#[tokio::test]
async fn a_signature_is_valid_for_five_minutes_around_now() {
    let harness = HomeHarness::new().await;
    for skew in [-290, 0, 290] {
        let accepted = outcome(&harness, signed(&harness, &edge_signer(), skew)).await;
        assert_eq!(accepted, (StatusCode::OK, "ok: video".to_owned()), "{skew}");
    }
    for skew in [-310, 310, -1_000_000, 1_000_000] {
        let (status, text) = outcome(&harness, signed(&harness, &edge_signer(), skew)).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(text.contains("more than 300 seconds from now"), "{text}");
    }
    harness.stop().await;
}

#[tokio::test]
async fn each_configured_key_is_accepted_and_no_other() {
    let harness = HomeHarness::new().await;
    let with = |credentials| signer_of(credentials, REGION, "lambda");
    let (status, _) = outcome(&harness, signed(&harness, &with(credentials("OLD")), 0)).await;
    assert_eq!(status, StatusCode::OK);
    for (unknown, reason) in [
        (Credentials::new("EDGE", "another-secret").unwrap(), "the signature does not match"),
        (credentials("UNKNOWN"), "the access key id in the signature is not known"),
        (credentials("EDGE").with_session_token("token").unwrap(), "session tokens are not"),
    ] {
        let (status, text) = outcome(&harness, signed(&harness, &with(unknown), 0)).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(text.contains(reason), "{text}");
    }
    for (region, service) in
        [("us-east-1", "lambda"), (REGION, "execute-api"), (REGION, "kinesis"), (REGION, "s3")]
    {
        let other_scope = signer_of(credentials("EDGE"), region, service);
        let (status, text) = outcome(&harness, signed(&harness, &other_scope, 0)).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(text.contains("/eu-west-1/lambda/aws4_request"), "{text}");
    }
    harness.stop().await;
}

/// Makes one change at a time to a correctly signed request.
#[tokio::test]
async fn every_change_after_signing_is_detected() {
    type Change = fn(&mut Request<Bytes>);
    fn authorization(request: &mut Request<Bytes>, change: impl Fn(&str) -> String) {
        let value = request.headers()[AUTHORIZATION].to_str().unwrap();
        let value = HeaderValue::from_str(&change(value)).unwrap();
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    let changes: [(&str, Change, &str); 15] = [
        ("a byte of the body", |it| *it.body_mut() = CALL.replace("acme", "acma").into(), "does not match"),
        ("no body", |it| *it.body_mut() = Bytes::new(), "does not match"),
        (
            "the content type",
            |it| drop(it.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"))),
            "does not match",
        ),
        (
            "the date",
            |it| {
                let date = it.headers()["x-amz-date"].to_str().unwrap().to_owned();
                let other = if date.ends_with("00Z") { "01Z" } else { "00Z" };
                let date = HeaderValue::from_str(&format!("{}{other}", &date[..13])).unwrap();
                it.headers_mut().insert("x-amz-date", date);
            },
            "does not match",
        ),
        (
            "the host",
            |it| drop(it.headers_mut().insert("host", HeaderValue::from_static("a.example"))),
            "does not match",
        ),
        ("no signature", |it| drop(it.headers_mut().remove(AUTHORIZATION)), "the request is not signed"),
        ("no date", |it| drop(it.headers_mut().remove("x-amz-date")), "needs one header x-amz-date"),
        (
            "an invalid date",
            |it| drop(it.headers_mut().insert("x-amz-date", HeaderValue::from_static("2026-01-02"))),
            "x-amz-date must be YYYYMMDDTHHMMSSZ",
        ),
        (
            "no content type",
            |it| drop(it.headers_mut().remove(CONTENT_TYPE)),
            "content-type is signed but not sent",
        ),
        (
            "one more header",
            |it| drop(it.headers_mut().insert("x-amz-target", HeaderValue::from_static("a"))),
            "x-amz-target must be signed",
        ),
        (
            "two signatures",
            |it| {
                let value = it.headers()[AUTHORIZATION].clone();
                it.headers_mut().append(AUTHORIZATION, value);
            },
            "more than one Authorization header",
        ),
        (
            "a query",
            |it| *it.uri_mut() = format!("{}?a=b", it.uri()).parse().unwrap(),
            "requests must not have a query",
        ),
        (
            "another algorithm",
            |it| authorization(it, |value| value.replace("AWS4-", "AWS3-")),
            "must begin with AWS4-HMAC-SHA256",
        ),
        (
            "an unsigned host",
            |it| authorization(it, |value| value.replace(";host", "")),
            "host must be signed",
        ),
        (
            "a cut signature",
            |it| authorization(it, |value| value[..value.len() - 1].to_owned()),
            "does not match",
        ),
    ];
    let harness = HomeHarness::new().await;
    for (name, change, reason) in changes {
        let mut request = signed(&harness, &edge_signer(), 0);
        change(&mut request);
        let (status, text) = outcome(&harness, request).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{name}: {text}");
        assert!(text.contains(reason), "{name}: {text}");
    }
    harness.stop().await;
}

/// The `aws-sigv4` crate is an independent implementation.
#[tokio::test]
async fn a_signature_of_the_aws_sdk_is_accepted() {
    let harness = HomeHarness::new().await;
    let identity = AwsCredentials::new("EDGE", SECRET, None, None, "test").into();
    let signed = |body: &'static str, time| {
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name("lambda")
            .time(time)
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let url = format!("{}/home", harness.url);
        let headers = [("content-type", "application/json"), ("x-amz-meta-a", "two  spaces")].into_iter();
        let signable =
            SignableRequest::new("POST", &url, headers.clone(), SignableBody::Bytes(body.as_bytes()))
                .unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut request = Request::post(&url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Bytes::from(body)).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        request
    };
    let (status, text) = outcome(&harness, signed(CALL, SystemTime::now())).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let (status, text) = outcome(&harness, signed(CALL, SystemTime::now() - Duration::from_mins(6))).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{text}");
    let mut tampered = signed(CALL, SystemTime::now());
    tampered.headers_mut().insert("x-amz-meta-a", HeaderValue::from_static("another"));
    let (status, text) = outcome(&harness, tampered).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{text}");
    harness.stop().await;
}

#[tokio::test]
async fn the_clients_error_has_the_reason_and_no_secret() {
    let harness = HomeHarness::new().await;
    harness.append_history().await;
    let wrong = Credentials::new("EDGE", "the-wrong-secret").unwrap();
    let refused_clients = [
        harness.client_with(|config| config.credentials = wrong, 0),
        harness.client_with(|_| {}, -1000),
        harness.client_with(|config| config.service = Service::ExecuteApi, 0),
    ];
    for (client, reason) in
        refused_clients.iter().zip(["does not match", "check the clock", "must be scoped to"])
    {
        let error = client.video(&acme(), &video("waiting")).await.unwrap_err();
        let chain: Vec<String> = anyhow::Chain::new(&error).map(ToString::to_string).collect();
        assert_eq!(chain[0], "the home region cannot serve the call");
        assert!(chain[1].starts_with("the home region refused the call with 403 Forbidden: "), "{chain:?}");
        assert!(chain[1].contains(reason), "{chain:?}");
        let shown = format!("{error:?} {client:?}");
        assert!(
            !shown.contains("the-wrong-secret") && !shown.contains(SECRET) && !shown.contains("Signature="),
            "{shown}"
        );
    }
    harness.stop().await;
}

#[tokio::test]
async fn an_invalid_call_is_refused_with_the_reason() {
    let harness = HomeHarness::new().await;
    let refused = async |body: &str| {
        let parts = RequestParts {
            method: &Method::POST,
            origin: &harness.url,
            path: "/home",
            query: &[],
            headers: &[],
        };
        let now = clock::now().unix_seconds();
        let signed = edge_signer().sign(&parts, Payload::Bytes(body.as_bytes()), now).unwrap();
        let mut request = Request::post(signed.url).body(Bytes::from(body.to_owned())).unwrap();
        *request.headers_mut() = signed.headers;
        outcome(&harness, request).await
    };
    for (body, reason) in [
        ("", "no call that this build knows"),
        (r#"{"call":"formatDisk"}"#, "unknown variant `formatDisk`"),
        (r#"{"call":"feed","projectId":"acme","limit":5,"from":1}"#, "unknown field `from`"),
        (r#"{"call":"feed","projectId":"Not A Project","limit":5}"#, "not a project id"),
        (r#"{"call":"feed","projectId":"acme","limit":0}"#, "`limit` must be 1 to 100, not 0"),
        (r#"{"call":"feed","projectId":"acme","limit":101}"#, "`limit` must be 1 to 100, not 101"),
    ] {
        let (status, text) = refused(body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
        assert!(text.contains(reason), "{body}: {text}");
    }
    let (status, text) = refused(&" ".repeat(MAX_CALL_BYTES + 1)).await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, "a request must have at most 163840 bytes")
    );

    let at = |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(format!("{}{path}", harness.url));
        request.body(Bytes::from_static(CALL.as_bytes())).unwrap()
    };
    let (status, text) = outcome(&harness, at(Method::POST, "/elsewhere")).await;
    assert_eq!((status, text.as_str()), (StatusCode::NOT_FOUND, "there is no /elsewhere, only /home and /"));
    let (status, _) = outcome(&harness, at(Method::GET, "/home")).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    serde_json::from_str::<HomeCall>(CALL).unwrap();
    harness.stop().await;
}

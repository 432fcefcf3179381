//! What is not signed as it is sent is refused, and changes nothing.

use std::time::{Duration, SystemTime};

use aws_sdk_s3::presigning::PresigningConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::raw::RawRequest;
use crate::server::{
    ACCESS_KEY_ID, OTHER_ACCESS_KEY_ID, OTHER_SECRET_ACCESS_KEY, RAW, SECRET_ACCESS_KEY, Server, client,
    refusal,
};
use crate::signer::{Signer, path};

const DAY: Duration = Duration::from_hours(24);

fn put(key: &str) -> RawRequest {
    RawRequest::new("PUT", path(RAW, key)).body("body")
}

fn sha256(body: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(body))
}

#[tokio::test]
async fn presigned_puts_and_gets_work_with_both_key_pairs_and_the_sdk_s_presigner() {
    let server = Server::start().await;
    let other = Signer {
        access_key_id: OTHER_ACCESS_KEY_ID.into(),
        secret_access_key: OTHER_SECRET_ACCESS_KEY.into(),
        ..Signer::default()
    };
    for (index, signer) in [Signer::default(), other].iter().enumerate() {
        let key = format!("dir {index}/ü+%.mp4");
        let request = signer.presign(&server.host(), put(&key));
        let response = request.send(server.address).await;
        assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
        assert_eq!(response.headers["etag"], "\"841a2d689ad86bd1611447453c22c6fc\"");
        let got = signer
            .presign(&server.host(), RawRequest::new("GET", path(RAW, &key)))
            .send(server.address)
            .await;
        assert_eq!((got.status, &got.body[..]), (200, &b"body"[..]));
    }
    let expires = PresigningConfig::expires_in(Duration::from_mins(1)).unwrap();
    let presigned =
        server.client.put_object().bucket(RAW).key("by the SDK").presigned(expires).await.unwrap();
    let mut request = reqwest::Client::new().put(presigned.uri()).body("from a browser");
    for (name, value) in presigned.headers() {
        request = request.header(name, value);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(server.get("by the SDK").await, b"from a browser");
}

#[tokio::test]
async fn a_signed_header_must_come_as_it_was_presigned() {
    let server = Server::start().await;
    let signer = Signer::default();
    let host = server.host();
    let wanted = put("k")
        .header("content-type", "video/mp4")
        .header("content-length", "4")
        .header("x-amz-checksum-sha256", sha256(b"body"))
        .header("if-none-match", "*");
    let presigned = || signer.presign(&host, RawRequest { target: wanted.target.clone(), ..clone(&wanted) });
    let mismatch = (403, "SignatureDoesNotMatch".to_owned());
    for name in ["content-type", "x-amz-checksum-sha256", "if-none-match"] {
        let missing = presigned().without(name).send(server.address).await;
        assert_eq!(missing.outcome(), mismatch, "without {name}");
    }
    for (name, value) in [
        ("content-type", "text/html".to_owned()),
        ("content-length", "5".to_owned()),
        ("x-amz-checksum-sha256", sha256(b"other")),
        ("if-none-match", "\"x\"".to_owned()),
    ] {
        let changed = presigned().without(name).header(name, value).body("bodyx").send(server.address).await;
        assert_eq!(changed.outcome(), mismatch, "another {name}");
    }
    let other_body = presigned().body("BODY").send(server.address).await;
    assert_eq!(other_body.outcome(), (400, "BadDigest".into()));
    let twice = presigned().header("content-type", "video/mp4").send(server.address).await;
    assert_eq!(twice.outcome().0, 403, "a signed header sent twice");
    assert!(!server.exists("k").await);
    assert_eq!(server.files(), Vec::<String>::new());
    assert_eq!(presigned().send(server.address).await.status, 200);
    assert_eq!(presigned().send(server.address).await.outcome(), (412, "PreconditionFailed".into()));
}

fn clone(request: &RawRequest) -> RawRequest {
    RawRequest {
        method: request.method.clone(),
        target: request.target.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
    }
}

#[tokio::test]
async fn a_url_is_good_for_its_time_key_method_and_signer_only() {
    let server = Server::start().await;
    let host = server.host();
    let now = SystemTime::now();
    let default = Signer::default();
    let presign = |signer: &Signer| signer.presign(&host, put("k"));
    let replaced = |from: &str, to: &str| {
        let request = presign(&default);
        assert!(request.target.contains(from), "{}", request.target);
        RawRequest { target: request.target.replace(from, to), ..request }
    };
    let minute = Duration::from_mins(1);
    let cases = [
        (
            "expired",
            presign(&Signer { time: now - minute * 2, expires: minute, ..default.clone() }),
            403,
            "AccessDenied",
        ),
        (
            "not yet",
            presign(&Signer { time: now + minute * 20, ..default.clone() }),
            403,
            "RequestTimeTooSkewed",
        ),
        (
            "too long",
            presign(&Signer { expires: DAY * 8, ..default.clone() }),
            400,
            "AuthorizationQueryParametersError",
        ),
        (
            "no time",
            presign(&Signer { expires: Duration::ZERO, ..default.clone() }),
            400,
            "AuthorizationQueryParametersError",
        ),
        (
            "wrong secret",
            presign(&Signer { secret_access_key: "guess".into(), ..default.clone() }),
            403,
            "SignatureDoesNotMatch",
        ),
        (
            "unknown key",
            presign(&Signer { access_key_id: "AKIDNOBODY".into(), ..default.clone() }),
            403,
            "InvalidAccessKeyId",
        ),
        (
            "other region",
            presign(&Signer { region: "eu-west-1".into(), ..default.clone() }),
            400,
            "AuthorizationHeaderMalformed",
        ),
        (
            "other service",
            presign(&Signer { service: "sts".into(), ..default.clone() }),
            400,
            "AuthorizationHeaderMalformed",
        ),
        ("other key", replaced("/raw/k?", "/raw/l?"), 403, "SignatureDoesNotMatch"),
        ("other bucket", replaced("/raw/k?", "/processed/k?"), 403, "SignatureDoesNotMatch"),
        ("deeper key", replaced("/raw/k?", "/raw/k/l?"), 403, "SignatureDoesNotMatch"),
        ("more life", replaced("X-Amz-Expires=300", "X-Amz-Expires=3000"), 403, "SignatureDoesNotMatch"),
        ("other signer", replaced(ACCESS_KEY_ID, OTHER_ACCESS_KEY_ID), 403, "SignatureDoesNotMatch"),
        ("added parameter", replaced("/raw/k?", "/raw/k?uploads&"), 403, "SignatureDoesNotMatch"),
        ("added header", presign(&default).header("x-amz-acl", "public-read"), 403, "AccessDenied"),
        ("added metadata", presign(&default).header("x-amz-meta-a", "b"), 403, "AccessDenied"),
        ("other host", presign(&default).header("host", "other.example"), 403, "SignatureDoesNotMatch"),
        ("GET", RawRequest { method: "GET".into(), ..presign(&default) }, 403, "SignatureDoesNotMatch"),
        ("DELETE", RawRequest { method: "DELETE".into(), ..presign(&default) }, 403, "SignatureDoesNotMatch"),
        ("unsigned", put("k"), 403, "AccessDenied"),
        ("unsigned list", RawRequest::new("GET", "/raw"), 403, "AccessDenied"),
        ("unsigned buckets", RawRequest::new("GET", "/"), 403, "AccessDenied"),
    ];
    for (name, request, status, code) in cases {
        assert_eq!(request.send(server.address).await.outcome(), (status, code.to_owned()), "{name}");
    }
    assert!(!server.exists("k").await);
    assert_eq!(server.files(), Vec::<String>::new());
    assert_eq!(presign(&default).send(server.address).await.status, 200, "the untouched URL is good");
}

#[tokio::test]
async fn a_signature_in_the_header_covers_everything_too() {
    let server = Server::start().await;
    let (host, signer) = (server.host(), Signer::default());
    let authorized = || signer.authorize(&host, put("k"));
    let date = |request: &RawRequest| {
        request.headers.iter().find(|(name, _)| name == "x-amz-date").map(|(_, value)| value.clone()).unwrap()
    };
    let old = Signer { time: SystemTime::now() - Duration::from_mins(20), ..signer.clone() };
    let changed = |name: &str, change: &dyn Fn(&str) -> String| {
        let mut request = authorized();
        let header = request.headers.iter_mut().find(|(other, _)| other == name).unwrap();
        header.1 = change(&header.1);
        request
    };
    let today = date(&authorized())[..8].to_owned();
    let cases = [
        ("other body", authorized().body("BODY"), 400, "XAmzContentSHA256Mismatch"),
        ("other path", RawRequest { target: path(RAW, "l"), ..authorized() }, 403, "SignatureDoesNotMatch"),
        (
            "other method",
            RawRequest { method: "DELETE".into(), ..authorized() },
            403,
            "SignatureDoesNotMatch",
        ),
        (
            "query added",
            RawRequest { target: "/raw/k?acl".into(), ..authorized() },
            403,
            "SignatureDoesNotMatch",
        ),
        ("stale", old.authorize(&host, put("k")), 403, "RequestTimeTooSkewed"),
        (
            "signature changed",
            changed("authorization", &|value| flip_last(value)),
            403,
            "SignatureDoesNotMatch",
        ),
        (
            "day changed",
            changed("authorization", &|value| value.replace(&today, "20200101")),
            403,
            "SignatureDoesNotMatch",
        ),
        (
            "mechanism",
            changed("authorization", &|_| "AWS AKIDPLATFORM:c2lnbmF0dXJl".into()),
            400,
            "InvalidRequest",
        ),
        ("basic", changed("authorization", &|_| "Basic YTpi".into()), 400, "InvalidRequest"),
        (
            "no credential",
            changed("authorization", &|_| "AWS4-HMAC-SHA256 Signature=0".into()),
            400,
            "AuthorizationHeaderMalformed",
        ),
        ("no hash", authorized().without("x-amz-content-sha256"), 403, "SignatureDoesNotMatch"),
        (
            "hash not of the body",
            changed("x-amz-content-sha256", &|_| "0".repeat(64)),
            403,
            "SignatureDoesNotMatch",
        ),
        (
            "unsigned hash",
            changed("x-amz-content-sha256", &|_| "UNSIGNED-PAYLOAD".into()),
            403,
            "SignatureDoesNotMatch",
        ),
        ("header added", authorized().header("x-amz-meta-a", "b"), 403, "AccessDenied"),
        (
            "two signatures",
            signer.presign(&host, put("k")).header("authorization", "AWS4-HMAC-SHA256 x"),
            400,
            "InvalidArgument",
        ),
        (
            "session token",
            signer.authorize(&host, put("k").header("x-amz-security-token", "t")),
            400,
            "InvalidToken",
        ),
    ];
    for (name, request, status, code) in cases {
        assert_eq!(request.send(server.address).await.outcome(), (status, code.to_owned()), "{name}");
    }
    assert!(!server.exists("k").await);
    assert_eq!(server.files(), Vec::<String>::new());
    assert_eq!(authorized().send(server.address).await.status, 200);
}

fn flip_last(text: &str) -> String {
    let last = if text.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &text[..text.len() - 1])
}

#[tokio::test]
async fn older_mechanisms_and_forms_are_not_accepted_with_valid_signatures_either() {
    let server = Server::start().await;
    server.put("k", b"secret".to_vec()).await;
    // Signature Version 2: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
    let expires = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 60;
    let signature = hmac_sha1(SECRET_ACCESS_KEY.as_bytes(), format!("GET\n\n\n{expires}\n/raw/k").as_bytes());
    let signature: String =
        url::form_urlencoded::byte_serialize(STANDARD.encode(signature).as_bytes()).collect();
    let target = format!("/raw/k?AWSAccessKeyId={ACCESS_KEY_ID}&Expires={expires}&Signature={signature}");
    let response = RawRequest::new("GET", target).send(server.address).await;
    assert_eq!(response.outcome(), (400, "InvalidRequest".into()));
    let form = RawRequest::new("POST", "/raw").header("content-type", "multipart/form-data; boundary=b");
    let form = form.body("--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nx\r\n--b--\r\n");
    assert_eq!(form.send(server.address).await.outcome(), (405, "MethodNotAllowed".into()));
}

/// RFC 2104.
fn hmac_sha1(key: &[u8], message: &[u8]) -> Vec<u8> {
    use sha1::Digest as _;
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner =
        sha1::Sha1::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    sha1::Sha1::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

#[tokio::test]
async fn the_sdk_with_a_wrong_secret_is_refused_in_every_operation() {
    let server = Server::start().await;
    server.put("k", b"body".to_vec()).await;
    let stranger = client(server.address, ACCESS_KEY_ID, "wrong");
    let mismatch = (403, "SignatureDoesNotMatch".to_owned());
    assert_eq!(refusal(stranger.get_object().bucket(RAW).key("k").send().await), mismatch);
    assert_eq!(refusal(stranger.put_object().bucket(RAW).key("k").send().await), mismatch);
    assert_eq!(refusal(stranger.delete_object().bucket(RAW).key("k").send().await), mismatch);
    assert_eq!(refusal(stranger.list_objects_v2().bucket(RAW).send().await), mismatch);
    assert_eq!(refusal(stranger.list_buckets().send().await), mismatch);
    assert_eq!(refusal(stranger.create_bucket().bucket("new").send().await), mismatch);
    assert_eq!(refusal(stranger.create_multipart_upload().bucket(RAW).key("k").send().await), mismatch);
    assert_eq!(refusal(stranger.head_object().bucket(RAW).key("k").send().await).0, 403);
    let nobody = client(server.address, "AKIDNOBODY", "wrong");
    let refused = nobody.get_object().bucket(RAW).key("k").send().await;
    assert_eq!(refusal(refused), (403, "InvalidAccessKeyId".into()));
    assert_eq!(server.get("k").await, b"body");
}

#[tokio::test]
async fn headers_moved_into_the_query_of_a_url_hold_as_headers() {
    let server = Server::start().await;
    let signer = Signer::default();
    let query = format!(
        "x-amz-checksum-sha256={}&x-amz-meta-title=moved",
        sha256(b"body").replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
    );
    let request = |body: &str| {
        let request = RawRequest::new("PUT", format!("{}?{query}", path(RAW, "k"))).body(body);
        signer.presign(&server.host(), request)
    };
    assert_eq!(request("BODY").send(server.address).await.outcome(), (400, "BadDigest".into()));
    assert_eq!(request("body").send(server.address).await.status, 200);
    let head = server.client.head_object().bucket(RAW).key("k").send().await.unwrap();
    assert_eq!(head.metadata().unwrap()["title"], "moved");
}

/// Characters that may stand in a path or query.
const OTHERS: &[u8] = b"abcxyzABCXYZ0123456789-_.~/%&=;+";

#[test]
fn a_url_signed_for_anything_is_accepted_as_it_is_and_refused_with_any_one_change() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let server = runtime.block_on(Server::start());
    let key = "[^\u{0}-\u{1f}\u{7f}]{1,30}";
    let strategy = (
        key,
        proptest::option::of("[a-z]{1,5}/[a-z0-9.+-]{1,8}"),
        any::<proptest::sample::Index>(),
        1..255_u8,
    );
    proptest!(ProptestConfig::with_cases(96), |((key, content_type, place, change) in strategy)| {
        let mut request = put(&key);
        if let Some(content_type) = &content_type {
            request = request.header("content-type", content_type);
        }
        let signed = Signer::default().presign(&server.host(), request);
        // Not by the SDK, which sends no key of white space.
        let delete = Signer::default().presign(&server.host(), RawRequest::new("DELETE", path(RAW, &key)));
        let mut target = signed.target.clone().into_bytes();
        let place = place.index(target.len());
        let before = target[place];
        target[place] = OTHERS[usize::from(change) % OTHERS.len()];
        prop_assume!(target[place] != before);
        let tampered = RawRequest { target: String::from_utf8(target).unwrap(), ..clone(&signed) };
        // The same bytes may be written in two ways: `%2F` and `%2f`, `+` and `%20` in the query.
        prop_assume!(decoded(&tampered.target) != decoded(&signed.target));
        let (bad, good, stored) = runtime.block_on(async {
            let bad = tampered.send(server.address).await;
            let leaked = server.exists(&key).await;
            let good = signed.send(server.address).await;
            let stored = server.exists(&key).await;
            assert_eq!(delete.send(server.address).await.status, 204);
            (bad.status, good.status, (leaked, stored))
        });
        prop_assert!((400..500).contains(&bad), "{bad} for {}", tampered.target);
        prop_assert_eq!((good, stored), (200, (false, true)));
        prop_assert_eq!(server.files(), Vec::<String>::new());
    });
    runtime.block_on(async { drop(server) });
}

fn decoded(target: &str) -> (String, Vec<(String, String)>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned();
    let mut query: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    query.sort();
    (path, query)
}

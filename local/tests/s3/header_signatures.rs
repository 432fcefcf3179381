//! Signatures in the `Authorization` header, and other ways of authentication, which are refused.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::raw::RawRequest;
use crate::server::{ACCESS_KEY_ID, RAW, S3TestServer, SECRET_ACCESS_KEY, client, refusal};
use crate::signer::{Signer, path, put_object};

#[tokio::test]
async fn a_signature_in_the_header_covers_the_whole_request() {
    let server = S3TestServer::start().await;
    let (host, signer) = (server.host(), Signer::default());
    let authorized = || signer.authorize(&host, put_object("k"));
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
        ("stale", old.authorize(&host, put_object("k")), 403, "RequestTimeTooSkewed"),
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
            signer.presign(&host, put_object("k")).header("authorization", "AWS4-HMAC-SHA256 x"),
            400,
            "InvalidArgument",
        ),
        (
            "session token",
            signer.authorize(&host, put_object("k").header("x-amz-security-token", "t")),
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
async fn older_mechanisms_and_forms_are_refused_even_with_valid_signatures() {
    let server = S3TestServer::start().await;
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

/// HMAC-SHA-1 (RFC 2104) for keys of at most 64 bytes.
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
    let server = S3TestServer::start().await;
    server.put("k", b"body".to_vec()).await;
    let client_with_wrong_secret = client(server.address, ACCESS_KEY_ID, "wrong");
    let mismatch = (403, "SignatureDoesNotMatch".to_owned());
    assert_eq!(refusal(client_with_wrong_secret.get_object().bucket(RAW).key("k").send().await), mismatch);
    assert_eq!(refusal(client_with_wrong_secret.put_object().bucket(RAW).key("k").send().await), mismatch);
    assert_eq!(refusal(client_with_wrong_secret.delete_object().bucket(RAW).key("k").send().await), mismatch);
    assert_eq!(refusal(client_with_wrong_secret.list_objects_v2().bucket(RAW).send().await), mismatch);
    assert_eq!(refusal(client_with_wrong_secret.list_buckets().send().await), mismatch);
    assert_eq!(refusal(client_with_wrong_secret.create_bucket().bucket("new").send().await), mismatch);
    assert_eq!(
        refusal(client_with_wrong_secret.create_multipart_upload().bucket(RAW).key("k").send().await),
        mismatch
    );
    assert_eq!(refusal(client_with_wrong_secret.head_object().bucket(RAW).key("k").send().await).0, 403);
    let unknown_client = client(server.address, "AKIDUNKNOWN", "wrong");
    let refused = unknown_client.get_object().bucket(RAW).key("k").send().await;
    assert_eq!(refusal(refused), (403, "InvalidAccessKeyId".into()));
    assert_eq!(server.get("k").await, b"body");
}

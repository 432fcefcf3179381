//! Signatures of requests to the S3 server, and the presigned URLs of the edge, which share no code.

use std::sync::LazyLock;

use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request};
use streamio_edge::sign::s3::{AddressStyle, Bucket, BucketSigner, ObjectRequest};
use streamio_edge::sign::sigv4::Credentials as Signing;
use streamio_local::s3::Credentials;
use streamio_local::s3::testing::{SignatureCheck, check_signature};
use time::OffsetDateTime;

use crate::api_request::parse;
use crate::text;

const REGION: &str = "us-east-1";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const NOW: i64 = 1_767_323_045;

static SIGNER: LazyLock<BucketSigner> = LazyLock::new(|| {
    let credentials = Signing::new("AKIDEXAMPLE", SECRET).expect("they are valid");
    let bucket =
        Bucket::new("http://127.0.0.1:9000", REGION, "raw", AddressStyle::Path).expect("it is valid");
    BucketSigner::new(bucket, credentials)
});

/// A request of any form is refused or has a signature that was not made with the key. What the edge presigns, the server accepts, for
/// any key, parameter and header. The input is a request as in `api_request`; its target and body also are a key and a value to sign.
pub fn check(data: &[u8]) {
    if let Some(request) = parse(data, "KEY") {
        let (parts, _) = request.into_parts();
        assert_ne!(verdict(parts), SignatureCheck::Formed { matches: true });
    }
    let ([key, name, value], _) = text::lines(data);
    let (Some(key), Some(name), Some(value)) = (text::of(key), text::of(name), text::of(value)) else {
        return;
    };
    let request = ObjectRequest::put(key).query("partNumber", value).header("x-amz-meta-note", name);
    let Ok(url) = SIGNER.presign(&request, 60, NOW) else { return };
    let Ok(request) = Request::builder().method(Method::PUT).uri(url.as_str()).body(()) else { return };
    let mut parts = request.into_parts().0;
    let mut send = |name: &'static str, value: &str| {
        let value = HeaderValue::from_str(value).or_else(|_| HeaderValue::from_bytes(value.as_bytes()));
        value.is_ok_and(|value| parts.headers.insert(HeaderName::from_static(name), value).is_none())
    };
    // The library of the server takes runs of tabs for one space, unlike S3.
    if send("host", "127.0.0.1:9000") && send("x-amz-meta-note", name) && !name.contains('\t') {
        assert_eq!(verdict(parts), SignatureCheck::Formed { matches: true }, "{key:?} {name:?} {value:?}");
    }
}

fn verdict(parts: Parts) -> SignatureCheck {
    let now = OffsetDateTime::from_unix_timestamp(NOW).expect("it is a time");
    check_signature(parts, REGION, now, &Credentials::new("AKIDEXAMPLE", SECRET))
}

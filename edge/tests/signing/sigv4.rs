//! Every signature equals the `aws-sigv4` crate's for the same request.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningInstructions, SigningSettings, UriPathNormalizationMode, sign,
};
use http::Method;
use proptest::prelude::*;
use streamio_edge::sign::s3::{AddressStyle, Bucket, BucketSigner, ObjectRequest};
use streamio_edge::sign::sigv4::{
    Credentials, MAX_EXPIRES_IN, Payload, RequestParts, SignedRequest, Signer, SigningError,
};

use crate::encoding::percent;
use crate::requests::{
    Pairs, TestCredentials, borrowed, bucket_addresses, credentials, headers, hostile_text, methods, query,
    requests, with_query,
};

const LAST_SECOND_OF_9999: i64 = 253_402_300_799;

fn s3_settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}

/// The signing instructions of the `aws-sigv4` crate.
fn aws_sign(
    method: &Method,
    url: &str,
    headers: &Pairs,
    body: SignableBody<'_>,
    (credentials, region, service, now): (&TestCredentials, &str, &str, i64),
    settings: SigningSettings,
) -> SigningInstructions {
    let identity = credentials.to_aws().into();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(now.try_into().expect("after 1970"));
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(time)
        .settings(settings)
        .build()
        .expect("all parameters are set")
        .into();
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let request =
        SignableRequest::new(method.as_str(), url, headers, body).expect("a request that aws-sigv4 accepts");
    sign(request, &params).expect("aws-sigv4 signs").into_parts().0
}

fn assert_same_headers(
    signed: &SignedRequest,
    instructions: SigningInstructions,
    request_headers: &Pairs,
) -> Result<(), TestCaseError> {
    let mut expected: Vec<(String, String)> =
        request_headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
    expected.extend(
        instructions
            .into_parts()
            .0
            .iter()
            .map(|header| (header.name().to_owned(), header.value().to_owned())),
    );
    let mut actual: Vec<_> = signed
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    expected.sort();
    actual.sort();
    prop_assert_eq!(actual, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_presigned_url_equals_that_of_the_aws_sigv4_crate(
        address in bucket_addresses(),
        credentials in credentials(),
        request in requests(),
        expires_in in prop_oneof![1..=MAX_EXPIRES_IN, Just(1), Just(MAX_EXPIRES_IN)],
        now in 0..=LAST_SECOND_OF_9999,
    ) {
        let actual = address.signer(&credentials).presign(&request.to_edge(), expires_in, now).unwrap();

        let mut settings = s3_settings();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(expires_in.into()));
        let url = request.url(&address.base_url);
        let scope = (&credentials, address.region, "s3", now);
        let expected = aws_sign(&request.method, &url, &request.headers, SignableBody::UnsignedPayload, scope, settings);
        let mut signed = http::Request::builder().uri(url).body(()).unwrap();
        expected.apply_to_request_http1x(&mut signed);

        prop_assert_eq!(actual.as_str(), signed.uri().to_string());
    }

    #[test]
    fn a_signed_s3_request_equals_that_of_the_aws_sigv4_crate(
        address in bucket_addresses(),
        credentials in credentials(),
        request in requests(),
        body in prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
        now in 0..=LAST_SECOND_OF_9999,
    ) {
        let payload = body.as_deref().map_or(Payload::Unsigned, Payload::Bytes);
        let actual = address.signer(&credentials).sign(&request.to_edge(), payload, now).unwrap();

        let mut settings = s3_settings();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let body = body.as_deref().map_or(SignableBody::UnsignedPayload, SignableBody::Bytes);
        let url = request.url(&address.base_url);
        let scope = (&credentials, address.region, "s3", now);
        let expected = aws_sign(&request.method, &url, &request.headers, body, scope, settings);

        prop_assert_eq!(&actual.url, &url);
        prop_assert_eq!(&actual.method, &request.method);
        assert_same_headers(&actual, expected, &request.headers)?;
    }

    #[test]
    fn a_signed_request_to_another_service_equals_that_of_the_aws_sigv4_crate(
        credentials in credentials(),
        method in methods(),
        path in hostile_text(),
        query in query(),
        headers in headers(),
        body in prop::collection::vec(any::<u8>(), 0..200),
        service in prop::sample::select(vec!["kinesis", "dynamodb", "ecs", "execute-api"]),
        now in 0..=LAST_SECOND_OF_9999,
    ) {
        let origin = format!("https://{service}.eu-west-1.amazonaws.com");
        let path = format!("/{}", percent(&path, "-_.~/"));
        let signer = Signer::new(credentials.to_edge(), "eu-west-1", service).unwrap();
        let parts =
            RequestParts { method: &method, origin: &origin, path: &path, query: &borrowed(&query), headers: &borrowed(&headers) };
        let actual = signer.sign(&parts, Payload::Bytes(&body), now).unwrap();

        let url = with_query(origin.clone() + &path, &query);
        let scope = (&credentials, "eu-west-1", service, now);
        let expected = aws_sign(&method, &url, &headers, SignableBody::Bytes(&body), scope, SigningSettings::default());

        prop_assert_eq!(&actual.url, &url);
        assert_same_headers(&actual, expected, &headers)?;
    }
}

proptest! {
    // Each case signs many times.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_body_may_be_passed_by_its_hash(address in bucket_addresses(), credentials in credentials(), request in requests(), body: Vec<u8>) {
        let signer = address.signer(&credentials);
        let digest = <sha2::Sha256 as sha2::Digest>::digest(&body).into();
        let by_hash = signer.sign(&request.to_edge(), Payload::Sha256(digest), 1_767_323_045).unwrap();
        let by_bytes = signer.sign(&request.to_edge(), Payload::Bytes(&body), 1_767_323_045).unwrap();
        prop_assert_eq!(by_hash.headers, by_bytes.headers);
    }

    #[test]
    fn a_warm_cache_of_signing_keys_changes_nothing(
        address in bucket_addresses(), credentials in credentials(), request in requests(), times in prop::collection::vec(0..=LAST_SECOND_OF_9999, 1..40),
    ) {
        let warm = address.signer(&credentials);
        for now in times {
            let cold = address.signer(&credentials);
            prop_assert_eq!(warm.presign(&request.to_edge(), 60, now), cold.presign(&request.to_edge(), 60, now));
        }
    }
}

fn signer() -> BucketSigner {
    let bucket = Bucket::new("http://127.0.0.1:9000", "us-east-1", "raw", AddressStyle::Path).unwrap();
    BucketSigner::new(
        bucket,
        Credentials::new("AKIDEXAMPLE", "hidden-secret").unwrap().with_session_token("hidden-token").unwrap(),
    )
}

#[test]
fn invalid_requests_are_refused_with_the_reason() {
    let presign = |request: ObjectRequest<'_>| signer().presign(&request, 60, 0).map(|_| ());
    let sign = |request: ObjectRequest<'_>| signer().sign(&request, Payload::Unsigned, 0).map(|_| ());
    let name = |name: &str| name.to_owned();

    for seconds in [0, MAX_EXPIRES_IN + 1, u32::MAX] {
        let refused = signer().presign(&ObjectRequest::get("a"), seconds, 0).unwrap_err();
        assert_eq!(refused, SigningError::ExpiryOutOfRange { seconds });
    }
    for now in [-1, LAST_SECOND_OF_9999 + 1] {
        assert_eq!(signer().presign(&ObjectRequest::get("a"), 60, now), Err(SigningError::TimeOutOfRange));
    }
    for bytes in [0, 1025] {
        assert_eq!(presign(ObjectRequest::get("k".repeat(bytes))), Err(SigningError::KeyLength { bytes }));
    }
    for header in
        ["Host", "authorization", "user-agent", "X-Amz-Date", "x-amz-content-sha256", "x-amz-security-token"]
    {
        let refused = Err(SigningError::ReservedHeader { name: header.to_lowercase() });
        assert_eq!(presign(ObjectRequest::get("a").header(header, "v")), refused);
        assert_eq!(sign(ObjectRequest::get("a").header(header, "v")), refused);
    }
    for header in ["x-amz-user-agent", "x-amz-checksum-mode"] {
        let refused = Err(SigningError::ReservedHeader { name: name(header) });
        assert_eq!(presign(ObjectRequest::get("a").header(header, "v")), refused);
        assert_eq!(sign(ObjectRequest::get("a").header(header, "v")), Ok(()));
    }
    for header in ["", "a b", "a:b", "ä", "a\n"] {
        let refused = Err(SigningError::InvalidHeaderName { name: name(header) });
        assert_eq!(presign(ObjectRequest::get("a").header(header, "v")), refused);
    }
    for value in ["ä", "a\r\nx-amz-acl: public-read", "\0"] {
        let refused = Err(SigningError::InvalidHeaderValue { name: name("x-amz-meta-a") });
        assert_eq!(presign(ObjectRequest::get("a").header("x-amz-meta-a", value)), refused);
    }
    for parameter in ["X-Amz-Signature", "x-amz-expires", "X-Amz-Security-Token"] {
        let refused = Err(SigningError::ReservedQueryParameter { name: name(parameter) });
        assert_eq!(presign(ObjectRequest::get("a").query(parameter, "v")), refused);
    }
    let credentials = || Credentials::new("AKIDEXAMPLE", "secret").unwrap();
    assert!(matches!(Signer::new(credentials(), "eu/west", "s3"), Err(SigningError::InvalidRegion)));
    assert!(matches!(Signer::new(credentials(), "", "s3"), Err(SigningError::InvalidRegion)));
    assert!(matches!(Signer::new(credentials(), "eu-west-1", ""), Err(SigningError::InvalidService)));
    let raw = |origin, path| {
        let parts = RequestParts { method: &Method::GET, origin, path, query: &[], headers: &[] };
        Signer::new(credentials(), "eu-west-1", "kinesis")
            .unwrap()
            .sign(&parts, Payload::Unsigned, 0)
            .map(|_| ())
    };
    assert_eq!(raw("https://host:8443", "/"), Ok(()));
    for origin in [
        "",
        "host",
        "ftp://host",
        "https://",
        "https://host/",
        "https://u@host",
        "https://ho st",
        "https://h\n",
    ] {
        assert_eq!(raw(origin, "/"), Err(SigningError::InvalidOrigin), "{origin:?}");
    }
    for path in ["", "a", "/a b", "/ä", "/?a", "/#a", "/\n"] {
        assert_eq!(raw("https://host", path), Err(SigningError::InvalidPath), "{path:?}");
    }
}

#[test]
fn debug_shows_no_secret_no_token_and_no_signature() {
    let request = ObjectRequest::create_multipart_upload("a.mov").header("content-type", "video/quicktime");
    let url = signer().presign(&request, 60, 0).unwrap();
    let signed = signer().sign(&request, Payload::Bytes(b""), 0).unwrap();
    let signature = url.as_str().split_once("X-Amz-Signature=").unwrap().1[..64].to_owned();
    let authorization = signed.headers["authorization"].to_str().unwrap().to_owned();
    let shown = format!("{:?} {url:?} {signed:?}", signer());
    for secret in ["hidden-secret", "hidden-token", &signature, &authorization] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn requests_have_the_documented_method_and_query_of_their_operation() {
    let shape = |request: ObjectRequest<'_>| {
        let url = signer().sign(&request, Payload::Unsigned, 0).unwrap().url;
        format!("{} {}", request.method(), url.strip_prefix("http://127.0.0.1:9000").unwrap())
    };
    let requests = [
        ObjectRequest::get("a b.mov"),
        ObjectRequest::head("a b.mov"),
        ObjectRequest::put("a b.mov"),
        ObjectRequest::delete("a b.mov"),
        ObjectRequest::create_multipart_upload("a b.mov"),
        ObjectRequest::upload_part("a b.mov", "id+1", 10_000),
        ObjectRequest::complete_multipart_upload("a b.mov", "id+1"),
        ObjectRequest::abort_multipart_upload("a b.mov", "id+1"),
    ];
    insta::assert_snapshot!(requests.map(shape).join("\n"), @r"
    GET /raw/a%20b.mov
    HEAD /raw/a%20b.mov
    PUT /raw/a%20b.mov
    DELETE /raw/a%20b.mov
    POST /raw/a%20b.mov?uploads=
    PUT /raw/a%20b.mov?partNumber=10000&uploadId=id%2B1
    POST /raw/a%20b.mov?uploadId=id%2B1
    DELETE /raw/a%20b.mov?uploadId=id%2B1
    ");
}

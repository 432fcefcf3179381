use http::header::HOST;
use s3s::S3ErrorCode;
use time::macros::datetime;

use super::*;

const NOW: OffsetDateTime = datetime!(2030-01-01 00:00:00.5 UTC);
const CREDENTIAL: &str = "AKID/20300101/us-east-1/s3/aws4_request";

fn presigned(change: impl Fn(&mut Vec<(&str, String)>), headers: &[(&str, &str)]) -> Result<Parts, Refusal> {
    let mut query = vec![
        ("X-Amz-Algorithm", ALGORITHM.to_owned()),
        ("X-Amz-Credential", CREDENTIAL.to_owned()),
        ("X-Amz-Date", "20300101T000000Z".to_owned()),
        ("X-Amz-Expires", "60".to_owned()),
        ("X-Amz-SignedHeaders", "host".to_owned()),
        ("X-Amz-Signature", "0".repeat(64)),
    ];
    change(&mut query);
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let mut request = http::Request::put(format!("/raw/key?{query}")).header(HOST, "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut parts = request.body(()).unwrap().into_parts().0;
    check(&mut parts, "us-east-1", NOW).map(|_| parts)
}

fn set(name: &'static str, value: &'static str) -> impl Fn(&mut Vec<(&str, String)>) {
    move |query| {
        query.retain(|(other, _)| *other != name);
        query.push((name, value.to_owned()));
    }
}

fn code(result: Result<Parts, Refusal>) -> String {
    result.err().map_or("accepted".to_owned(), |refusal| refusal.error.code().as_str().to_owned())
}

#[test]
fn a_well_formed_presigned_request_passes() {
    assert_eq!(code(presigned(|_| {}, &[])), "accepted");
    assert_eq!(code(presigned(set("X-Amz-Expires", "1"), &[])), "accepted");
    assert_eq!(code(presigned(set("X-Amz-Expires", "604800"), &[])), "accepted");
}

#[test]
fn an_expiry_out_of_range_is_refused() {
    for expires in ["0", "604801", "-1", "99999999999", "", "1e3", "60 "] {
        let query = move |query: &mut Vec<(&str, String)>| {
            query.retain(|(name, _)| *name != "X-Amz-Expires");
            query.push(("X-Amz-Expires", expires.to_owned()));
        };
        assert_eq!(code(presigned(query, &[])), "AuthorizationQueryParametersError", "{expires:?}");
    }
}

#[test]
fn a_missing_or_repeated_parameter_is_refused() {
    for name in ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"]
    {
        let without = move |query: &mut Vec<(&str, String)>| query.retain(|(other, _)| *other != name);
        assert_eq!(code(presigned(without, &[])), "AuthorizationQueryParametersError", "{name}");
        let twice = move |query: &mut Vec<(&str, String)>| query.push((name, "60".to_owned()));
        assert_eq!(code(presigned(twice, &[])), "AuthorizationQueryParametersError", "{name}");
    }
}

#[test]
fn another_region_service_or_mechanism_is_refused() {
    let refused = |credential| code(presigned(set("X-Amz-Credential", credential), &[]));
    assert_eq!(refused("AKID/20300101/eu-west-1/s3/aws4_request"), "AuthorizationHeaderMalformed");
    assert_eq!(refused("AKID/20300101/us-east-1/sts/aws4_request"), "AuthorizationHeaderMalformed");
    assert_eq!(refused("AKID/20300101/us-east-1/s3"), "AuthorizationHeaderMalformed");
    assert_eq!(code(presigned(set("Signature", "x"), &[])), "InvalidRequest");
    assert_eq!(code(presigned(|_| {}, &[("authorization", "AWS AKID:sig")])), "InvalidArgument");
    assert_eq!(code(presigned(|_| {}, &[("x-amz-security-token", "t")])), "InvalidToken");
}

#[test]
fn a_malformed_time_is_refused() {
    for time in ["20300101T000000", "2030010aT000000Z", "20300101 000000Z", "\u{e9}0300101T00000Z", ""] {
        let query = move |query: &mut Vec<(&str, String)>| {
            query.retain(|(name, _)| *name != "X-Amz-Date");
            query.push(("X-Amz-Date", time.to_owned()));
        };
        assert_eq!(code(presigned(query, &[])), "AuthorizationHeaderMalformed", "{time:?}");
    }
    let day = set("X-Amz-Credential", "AKID/203001~1/us-east-1/s3/aws4_request");
    assert_eq!(code(presigned(day, &[])), "AuthorizationHeaderMalformed");
}

#[test]
fn headers_signed_but_missing_or_sent_but_unsigned_are_refused() {
    assert_eq!(
        code(presigned(set("X-Amz-SignedHeaders", "host;content-type"), &[])),
        "SignatureDoesNotMatch"
    );
    assert_eq!(code(presigned(set("X-Amz-SignedHeaders", "x-other"), &[("x-other", "1")])), "AccessDenied");
    assert_eq!(code(presigned(|_| {}, &[("x-amz-acl", "public-read")])), "AccessDenied");
    assert_eq!(code(presigned(|_| {}, &[("content-type", "video/mp4")])), "accepted");
}

#[test]
fn headers_in_the_query_are_copied_to_the_headers() {
    let parts = presigned(set("x-amz-meta-title", "one"), &[]).unwrap();
    assert_eq!(parts.headers["x-amz-meta-title"], "one");
    assert!(!parts.headers.contains_key("x-amz-signature"));
    let twice =
        presigned(|query| query.extend([("x-amz-acl", "a".to_owned()), ("X-Amz-Acl", "b".to_owned())]), &[]);
    assert_eq!(code(twice), "InvalidArgument");
}

#[test]
fn unsigned_requests_and_forms_are_refused() {
    let mut parts = http::Request::get("/raw/key").header(HOST, "h").body(()).unwrap().into_parts().0;
    assert_eq!(*check(&mut parts, "us-east-1", NOW).err().unwrap().error.code(), S3ErrorCode::AccessDenied);
    let form = http::Request::post("/raw").header(CONTENT_TYPE, "Multipart/Form-Data; boundary=x");
    let mut parts = form.body(()).unwrap().into_parts().0;
    assert_eq!(
        *check(&mut parts, "us-east-1", NOW).err().unwrap().error.code(),
        S3ErrorCode::MethodNotAllowed
    );
}

fn refused(
    change: impl Fn(&mut Vec<(&str, String)>),
    headers: &[(&str, &str)],
) -> (String, Vec<(&'static str, String)>) {
    let refusal = presigned(change, headers).unwrap_err();
    (refusal.error.message().unwrap_or_default().to_owned(), refusal.details)
}

#[test]
fn headers_that_are_missing_or_not_signed_are_named() {
    let (message, _) = refused(set("X-Amz-SignedHeaders", "content-length;content-type;host"), &[]);
    assert_eq!(
        message,
        "headers were signed and not sent: content-length, content-type; send each exactly as it was signed"
    );
    let (message, details) = refused(|_| {}, &[("x-amz-tagging", "a=b"), ("x-amz-acl", "private")]);
    assert_eq!(message, "There were headers present in the request which were not signed");
    assert_eq!(details, [("HeadersNotSigned", "x-amz-acl, x-amz-tagging".to_owned())]);
}

#[test]
fn an_expired_url_states_its_validity_its_end_and_the_time() {
    let query = |age: time::Duration| {
        let signed = NOW - age;
        let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
        let text = signed.format(format).unwrap();
        presigned(
            move |query| {
                query.retain(|(name, _)| *name != "X-Amz-Date");
                query.push(("X-Amz-Date", text.clone()));
            },
            &[],
        )
    };
    assert_eq!(code(query(time::Duration::seconds(59))), "accepted");
    let refusal = query(time::Duration::seconds(61)).unwrap_err();
    assert_eq!(refusal.error.message(), Some("Request has expired"));
    let details: Vec<(&str, &str)> =
        refusal.details.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(
        details,
        [
            ("X-Amz-Expires", "60"),
            ("Expires", "2029-12-31T23:59:59Z"),
            ("ServerTime", "2030-01-01T00:00:00Z")
        ]
    );
    let refusal = query(-time::Duration::minutes(16)).unwrap_err();
    assert_eq!(*refusal.error.code(), S3ErrorCode::RequestTimeTooSkewed);
    assert_eq!(refusal.details[0], ("RequestTime", "20300101T001600Z".to_owned()));
    assert_eq!(refusal.details[2], ("MaxAllowedSkewMilliseconds", "900000".to_owned()));
}

//! Checks the form of a signed request before its signature is verified.
//!
//! `s3s` verifies signatures. This module enforces the rules of Signature Version 4 that `s3s` does not enforce, and
//! refuses the other ways of authentication that `s3s` accepts (Signature Version 2, browser form posts):
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use s3s::{S3Error, S3Result, s3_error};
use url::form_urlencoded;

/// The longest validity of a presigned URL, in seconds (seven days).
const MAX_EXPIRES: u32 = 7 * 24 * 60 * 60;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The query parameters that carry the signature itself.
const AUTHENTICATION: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
];

/// Refuses a request that is not signed or whose signature does not cover what it must. Copies the headers that a
/// presigned URL carries in its query to the request's headers. Returns the names of the signed headers.
///
/// # Errors
/// The S3 error to return. It never contains a signature.
pub(super) fn check(request: &mut Parts, region: &str) -> S3Result<Vec<String>> {
    let query = query_parameters(request);
    let in_query = query.iter().any(|(name, _)| name == "X-Amz-Signature");
    let in_header = request.headers.contains_key(AUTHORIZATION);
    if query.iter().any(|(name, _)| name == "Signature" || name == "AWSAccessKeyId") {
        return Err(unsupported_mechanism());
    }
    refuse_form_post(request)?;
    let signed = match (in_header, in_query) {
        (false, false) => {
            return Err(s3_error!(AccessDenied, "the request is not signed; sign it with {ALGORITHM}"));
        }
        (true, true) => {
            return Err(s3_error!(
                InvalidArgument,
                "sign in the query or in the Authorization header, not in both"
            ));
        }
        (true, false) => SignatureFields::from_header(&request.headers)?,
        (false, true) => SignatureFields::from_query(&query)?,
    };
    signed.check_scope(region)?;
    if request.headers.contains_key("x-amz-security-token")
        || query.iter().any(|(name, _)| name == "X-Amz-Security-Token")
    {
        return Err(s3_error!(
            InvalidToken,
            "session tokens are not supported; sign with the key pair alone"
        ));
    }
    signed.check_headers(&request.headers)?;
    if in_query {
        copy_query_headers(&mut request.headers, &query)?;
    }
    Ok(signed.headers)
}

fn query_parameters(request: &Parts) -> Vec<(String, String)> {
    form_urlencoded::parse(request.uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

fn unsupported_mechanism() -> S3Error {
    s3_error!(InvalidRequest, "the authorization mechanism is not supported; use {ALGORITHM}")
}

/// Refuses browser form posts: only the form's policy is signed, not the request, and a form without a policy is not
/// signed at all.
fn refuse_form_post(request: &Parts) -> S3Result<()> {
    let is_form = request.headers.get_all(CONTENT_TYPE).iter().any(|value| {
        value.as_bytes().trim_ascii_start().to_ascii_lowercase().starts_with(b"multipart/form-data")
    });
    if request.method == Method::POST && is_form {
        return Err(s3_error!(MethodNotAllowed, "uploads by form are not supported; PUT to a presigned URL"));
    }
    Ok(())
}

/// The unverified fields of a signature.
struct SignatureFields {
    /// `key id/date/region/service/aws4_request`.
    credential: String,
    /// `YYYYMMDDTHHMMSSZ`.
    time: String,
    headers: Vec<String>,
}

impl SignatureFields {
    fn from_header(headers: &HeaderMap) -> S3Result<Self> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(s3_error!(InvalidArgument, "send one Authorization header"));
        };
        let fields = value.to_str().ok().and_then(|value| value.strip_prefix(ALGORITHM));
        let fields = fields.filter(|fields| fields.starts_with(' ')).ok_or_else(unsupported_mechanism)?;
        let field = |name: &str| {
            let mut found =
                fields.split(',').filter_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
            match (found.next(), found.next()) {
                (Some(value), None) => Ok(value.to_owned()),
                _ => {
                    Err(s3_error!(AuthorizationHeaderMalformed, "the Authorization header needs one {name}"))
                }
            }
        };
        field("Signature")?;
        let time = headers.get("x-amz-date").and_then(|time| time.to_str().ok()).unwrap_or_default();
        Ok(Self {
            credential: field("Credential")?,
            time: time.to_owned(),
            headers: header_names(&field("SignedHeaders")?),
        })
    }

    fn from_query(query: &[(String, String)]) -> S3Result<Self> {
        let parameter = |name: &str| {
            let mut found = query.iter().filter(|(other, _)| other == name);
            match (found.next(), found.next()) {
                (Some((_, value)), None) => Ok(value.as_str()),
                _ => Err(s3_error!(AuthorizationQueryParametersError, "the query needs one {name}")),
            }
        };
        if parameter("X-Amz-Algorithm")? != ALGORITHM {
            return Err(s3_error!(AuthorizationQueryParametersError, "X-Amz-Algorithm must be {ALGORITHM}"));
        }
        let expires = parameter("X-Amz-Expires")?.parse::<u32>().ok();
        if !expires.is_some_and(|seconds| (1..=MAX_EXPIRES).contains(&seconds)) {
            return Err(s3_error!(
                AuthorizationQueryParametersError,
                "X-Amz-Expires must be 1 to {MAX_EXPIRES} seconds"
            ));
        }
        parameter("X-Amz-Signature")?;
        Ok(Self {
            credential: parameter("X-Amz-Credential")?.to_owned(),
            time: parameter("X-Amz-Date")?.to_owned(),
            headers: header_names(parameter("X-Amz-SignedHeaders")?),
        })
    }

    fn check_scope(&self, region: &str) -> S3Result<()> {
        let scope: Vec<&str> = self.credential.split('/').collect();
        let [_, date, found, service, terminator] = scope[..] else {
            return Err(s3_error!(
                AuthorizationHeaderMalformed,
                "the credential must be <access key id>/<date>/{region}/s3/aws4_request"
            ));
        };
        if found != region {
            return Err(s3_error!(
                AuthorizationHeaderMalformed,
                "the signature is for the region {found:?}; this server's region is {region:?}"
            ));
        }
        // The parser of `s3s` requires digits.
        if !(matches_digits(date, "00000000") && matches_digits(&self.time, "00000000T000000Z")) {
            return Err(s3_error!(
                AuthorizationHeaderMalformed,
                "the signature's time must be YYYYMMDDTHHMMSSZ and its scope's day YYYYMMDD"
            ));
        }
        if service != "s3" || terminator != "aws4_request" {
            return Err(s3_error!(
                AuthorizationHeaderMalformed,
                "the signature must be scoped to s3/aws4_request"
            ));
        }
        Ok(())
    }

    /// Checks that the host is signed, that every signed header was sent, and that every `x-amz-*` header is signed.
    /// Otherwise the holder of a presigned URL could add headers that its signer did not allow.
    fn check_headers(&self, headers: &HeaderMap) -> S3Result<()> {
        if !self.headers.iter().any(|name| name == HOST.as_str()) {
            return Err(s3_error!(AccessDenied, "the host header must be signed"));
        }
        if let Some(missing) = self.headers.iter().find(|name| !headers.contains_key(name.as_str())) {
            return Err(s3_error!(
                SignatureDoesNotMatch,
                "the header {missing:?} was signed but not sent; send it exactly as it was signed"
            ));
        }
        let unsigned = |name: &&HeaderName| {
            name.as_str().starts_with("x-amz-") && !self.headers.iter().any(|signed| signed == name.as_str())
        };
        if let Some(unsigned) = headers.keys().find(unsigned) {
            return Err(s3_error!(
                AccessDenied,
                "there were headers present in the request which were not signed: {unsigned}"
            ));
        }
        Ok(())
    }
}

/// Whether the text equals the pattern, where a zero in the pattern stands for any digit.
fn matches_digits(text: &str, pattern: &str) -> bool {
    let fits =
        |(byte, pattern): (u8, u8)| if pattern == b'0' { byte.is_ascii_digit() } else { byte == pattern };
    text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(fits)
}

fn header_names(list: &str) -> Vec<String> {
    list.split(';').map(str::to_ascii_lowercase).collect()
}

/// Copies `x-amz-*` parameters of a presigned URL to the headers. Signers may put such headers into the query, where
/// the signature covers them.
fn copy_query_headers(headers: &mut HeaderMap, query: &[(String, String)]) -> S3Result<()> {
    for (name, value) in query {
        let lower = name.to_ascii_lowercase();
        if !lower.starts_with("x-amz-") || AUTHENTICATION.contains(&name.as_str()) {
            continue;
        }
        let invalid = || s3_error!(InvalidArgument, "the query parameter {lower:?} is not a valid header");
        let header = HeaderName::from_bytes(lower.as_bytes()).map_err(|_| invalid())?;
        let value = HeaderValue::from_str(value).map_err(|_| invalid())?;
        if headers.insert(header, value).is_some() {
            return Err(s3_error!(InvalidArgument, "{lower:?} is sent twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use s3s::S3ErrorCode;

    use super::*;

    const CREDENTIAL: &str = "AKID/20300101/us-east-1/s3/aws4_request";

    fn presigned(change: impl Fn(&mut Vec<(&str, String)>), headers: &[(&str, &str)]) -> S3Result<Parts> {
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
        check(&mut parts, "us-east-1").map(|_| parts)
    }

    fn set(name: &'static str, value: &'static str) -> impl Fn(&mut Vec<(&str, String)>) {
        move |query| {
            query.retain(|(other, _)| *other != name);
            query.push((name, value.to_owned()));
        }
    }

    fn code(result: S3Result<Parts>) -> String {
        result.err().map_or("accepted".to_owned(), |error| error.code().as_str().to_owned())
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
        for name in
            ["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"]
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
        assert_eq!(
            code(presigned(set("X-Amz-SignedHeaders", "x-other"), &[("x-other", "1")])),
            "AccessDenied"
        );
        assert_eq!(code(presigned(|_| {}, &[("x-amz-acl", "public-read")])), "AccessDenied");
        assert_eq!(code(presigned(|_| {}, &[("content-type", "video/mp4")])), "accepted");
    }

    #[test]
    fn headers_in_the_query_are_copied_to_the_headers() {
        let parts = presigned(set("x-amz-meta-title", "one"), &[]).unwrap();
        assert_eq!(parts.headers["x-amz-meta-title"], "one");
        assert!(!parts.headers.contains_key("x-amz-signature"));
        let twice = presigned(
            |query| query.extend([("x-amz-acl", "a".to_owned()), ("X-Amz-Acl", "b".to_owned())]),
            &[],
        );
        assert_eq!(code(twice), "InvalidArgument");
    }

    #[test]
    fn unsigned_requests_and_forms_are_refused() {
        let mut parts = http::Request::get("/raw/key").header(HOST, "h").body(()).unwrap().into_parts().0;
        assert_eq!(*check(&mut parts, "us-east-1").unwrap_err().code(), S3ErrorCode::AccessDenied);
        let form = http::Request::post("/raw").header(CONTENT_TYPE, "Multipart/Form-Data; boundary=x");
        let mut parts = form.body(()).unwrap().into_parts().0;
        assert_eq!(*check(&mut parts, "us-east-1").unwrap_err().code(), S3ErrorCode::MethodNotAllowed);
    }
}

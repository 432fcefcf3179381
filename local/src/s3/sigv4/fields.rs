//! The fields of a signature, in the `Authorization` header or in the query.

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName};
use s3s::{S3Result, s3_error};
use streamio_events::digits;

use super::{ALGORITHM, unsupported_mechanism};
use crate::s3::refusal::Refusal;

/// The longest validity of a presigned URL, in seconds (seven days).
const MAX_EXPIRES: u32 = 7 * 24 * 60 * 60;

/// The unverified fields of a signature.
pub(super) struct SignatureFields {
    /// `key id/date/region/service/aws4_request`.
    pub(super) credential: String,
    /// `YYYYMMDDTHHMMSSZ`.
    pub(super) time: String,
    pub(super) headers: Vec<String>,
    pub(super) signature: String,
    /// `X-Amz-Expires` of a presigned URL, in seconds; `None` for a signature in the header.
    pub(super) expires: Option<u32>,
}

impl SignatureFields {
    pub(super) fn from_header(headers: &HeaderMap) -> S3Result<Self> {
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
        let signature = field("Signature")?;
        let time = headers.get("x-amz-date").and_then(|time| time.to_str().ok()).unwrap_or_default();
        Ok(Self {
            credential: field("Credential")?,
            time: time.to_owned(),
            headers: header_names(&field("SignedHeaders")?),
            signature,
            expires: None,
        })
    }

    pub(super) fn from_query(query: &[(String, String)]) -> S3Result<Self> {
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
        let expires = digits::number::<u32>(parameter("X-Amz-Expires")?);
        let Some(expires) = expires.filter(|seconds| (1..=MAX_EXPIRES).contains(seconds)) else {
            return Err(s3_error!(
                AuthorizationQueryParametersError,
                "X-Amz-Expires must be 1 to {MAX_EXPIRES} seconds"
            ));
        };
        let signature = parameter("X-Amz-Signature")?.to_owned();
        Ok(Self {
            credential: parameter("X-Amz-Credential")?.to_owned(),
            time: parameter("X-Amz-Date")?.to_owned(),
            headers: header_names(parameter("X-Amz-SignedHeaders")?),
            signature,
            expires: Some(expires),
        })
    }

    pub(super) fn check_scope(&self, region: &str) -> S3Result<()> {
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
    pub(super) fn check_headers(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if !self.headers.iter().any(|name| name == HOST.as_str()) {
            return Err(s3_error!(AccessDenied, "the host header must be signed").into());
        }
        let missing: Vec<&str> =
            self.headers.iter().map(String::as_str).filter(|name| !headers.contains_key(*name)).collect();
        if !missing.is_empty() {
            return Err(s3_error!(
                SignatureDoesNotMatch,
                "headers were signed and not sent: {}; send each exactly as it was signed",
                missing.join(", ")
            )
            .into());
        }
        let is_signed = |name: &HeaderName| self.headers.iter().any(|signed| signed == name.as_str());
        let mut unsigned: Vec<&str> = headers
            .keys()
            .filter(|name| name.as_str().starts_with("x-amz-") && !is_signed(name))
            .map(HeaderName::as_str)
            .collect();
        if unsigned.is_empty() {
            return Ok(());
        }
        unsigned.sort_unstable();
        Err(Refusal {
            error: s3_error!(AccessDenied, "There were headers present in the request which were not signed"),
            details: vec![("HeadersNotSigned", unsigned.join(", "))],
        })
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

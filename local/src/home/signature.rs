//! Verification of AWS Signature Version 4 in headers: who signed a request, and that it was not changed.
//!
//! The signature is computed again with the signer that clients use, over the request as received.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::borrow::Cow;

use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use streamio_edge::sign::sigv4::{Credentials, Payload, RequestParts, Signer, SigningError};
use streamio_events::timestamp::Timestamp;
use subtle::ConstantTimeEq as _;
use time::PrimitiveDateTime;
use time::macros::format_description;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: HeaderName = HeaderName::from_static("x-amz-date");

/// The most that a signature's time may differ from this machine's, in seconds. AWS has the same limit.
const MAX_SKEW: u64 = 5 * 60;

/// Verifies requests to one service.
pub struct Verifier {
    region: String,
    service: &'static str,
    signers: Vec<Signer>,
}

/// Why a request is not accepted. The texts quote no signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has no signature.
    #[error("the request is not signed; sign it with {ALGORITHM} in its Authorization header")]
    Unsigned,
    /// The signature's fields are missing, ambiguous or do not cover the request.
    #[error("{0}")]
    Malformed(String),
    /// The signature is for another region or service.
    #[error("the signature must be scoped to {0}")]
    Scope(String),
    /// The access key id is unknown.
    #[error("the access key id in the signature is not known")]
    UnknownKey,
    /// The signature's time is too far from now.
    #[error(
        "the signature is of {date}, more than {MAX_SKEW} seconds from now, {now}; check the clock and sign again"
    )]
    Expired {
        /// `YYYYMMDDTHHMMSSZ`.
        date: String,
        /// This machine's time.
        now: Timestamp,
    },
    /// Another secret was used, or the request was changed after signing.
    #[error(
        "the signature does not match; check the secret access key, and that the body and the signed headers are sent as signed"
    )]
    Mismatch,
}

impl Refusal {
    /// AWS's code for the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsigned => "MissingAuthenticationTokenException",
            Self::Malformed(_) => "IncompleteSignatureException",
            Self::UnknownKey => "UnrecognizedClientException",
            Self::Scope(_) | Self::Expired { .. } | Self::Mismatch => "InvalidSignatureException",
        }
    }
}

impl Verifier {
    /// Accepts signatures of any of `credentials` for `service` in `region`.
    pub fn new(
        region: &str,
        service: &'static str,
        credentials: &[Credentials],
    ) -> Result<Self, SigningError> {
        let signers = credentials.iter().map(|it| Signer::new(it.clone(), region, service));
        Ok(Self { region: region.to_owned(), service, signers: signers.collect::<Result<_, _>>()? })
    }

    /// Accepts the request, or returns what is wrong with its signature.
    pub fn verify(&self, head: &Parts, body: &[u8], now: Timestamp) -> Result<(), Refusal> {
        let claim = Claim::read(&head.headers)?;
        let date = text(&head.headers, &DATE)?;
        let signed_at = unix_seconds(date)?;
        let signer = self.signer(&claim, date)?;
        if signed_at.abs_diff(now.unix_seconds()) > MAX_SKEW {
            return Err(Refusal::Expired { date: date.to_owned(), now });
        }
        if head.uri.query().is_some() {
            return Err(malformed("requests must not have a query"));
        }
        let headers = claim.signed(&head.headers)?;
        let origin = format!("http://{}", text(&head.headers, &HOST)?);
        let parts = RequestParts {
            method: &head.method,
            origin: &origin,
            path: head.uri.path(),
            query: &[],
            headers: &headers,
        };
        let expected = signer
            .sign(&parts, Payload::Bytes(body), signed_at)
            .map_err(|error| malformed(&format!("the request cannot be signed: {error}")))?;
        let expected = Claim::read(&expected.headers).expect("the signer writes a header that can be read");
        if expected.signed_headers != claim.signed_headers {
            return Err(malformed("SignedHeaders must be lower case, in order, and each once"));
        }
        let is_same: bool = expected.signature.as_bytes().ct_eq(claim.signature.as_bytes()).into();
        if is_same { Ok(()) } else { Err(Refusal::Mismatch) }
    }

    fn signer(&self, claim: &Claim<'_>, date: &str) -> Result<&Signer, Refusal> {
        let (access_key_id, scope) = claim.credential.split_once('/').unwrap_or((claim.credential, ""));
        let expected = format!("{}/{}/{}/aws4_request", &date[..8], self.region, self.service);
        if scope != expected {
            return Err(Refusal::Scope(expected));
        }
        self.signers
            .iter()
            .find(|signer| signer.credentials().access_key_id() == access_key_id)
            .ok_or(Refusal::UnknownKey)
    }
}

/// A name and a value.
type Header<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The fields of an Authorization header.
struct Claim<'a> {
    /// `key id/date/region/service/aws4_request`.
    credential: &'a str,
    /// Names between semicolons.
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Claim<'a> {
    fn read(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(Refusal::Unsigned)?;
        if values.next().is_some() {
            return Err(malformed("there is more than one Authorization header"));
        }
        let fields =
            value
                .to_str()
                .ok()
                .and_then(|value| value.strip_prefix(ALGORITHM)?.strip_prefix(' '))
                .ok_or_else(|| malformed(&format!("the Authorization header must begin with {ALGORITHM}")))?;
        let field = |name: &str| {
            let mut found =
                fields.split(',').filter_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
            match (found.next(), found.next()) {
                (Some(value), None) => Ok(value),
                _ => Err(malformed(&format!("the Authorization header needs one {name}"))),
            }
        };
        Ok(Self {
            credential: field("Credential")?,
            signed_headers: field("SignedHeaders")?,
            signature: field("Signature")?,
        })
    }

    /// The signed headers as received, without those that the signer adds itself. Every signed header must be present, and
    /// every header that changes the request's meaning (`x-amz-*`) must be signed.
    fn signed(&self, headers: &'a HeaderMap) -> Result<Vec<Header<'a>>, Refusal> {
        let names: Vec<&str> = self.signed_headers.split(';').collect();
        for required in [HOST, DATE] {
            if !names.contains(&required.as_str()) {
                return Err(malformed(&format!("the header {required} must be signed")));
            }
        }
        if headers.contains_key("x-amz-security-token") {
            return Err(malformed("session tokens are not supported; sign with the plain key pair"));
        }
        let unsigned =
            |name: &&HeaderName| name.as_str().starts_with("x-amz-") && !names.contains(&name.as_str());
        if let Some(name) = headers.keys().find(unsigned) {
            return Err(malformed(&format!("the header {name} must be signed")));
        }
        let mut signed = Vec::new();
        for name in names.iter().filter(|name| **name != HOST.as_str() && **name != DATE.as_str()) {
            let before = signed.len();
            for value in headers.get_all(*name) {
                let value =
                    value.to_str().map_err(|_| malformed(&format!("the header {name} is not plain text")))?;
                signed.push((Cow::Borrowed(*name), Cow::Borrowed(value)));
            }
            if signed.len() == before {
                return Err(malformed(&format!("the header {name} is signed but not sent")));
            }
        }
        Ok(signed)
    }
}

fn malformed(reason: &str) -> Refusal {
    Refusal::Malformed(reason.to_owned())
}

/// The one value of a header.
fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next().map(|value| value.to_str()), values.next()) {
        (Some(Ok(value)), None) => Ok(value),
        _ => Err(malformed(&format!("the request needs one header {name}"))),
    }
}

fn unix_seconds(date: &str) -> Result<i64, Refusal> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    // The parser takes a sign before the year, and the scope's day is cut from the text.
    let parsed = PrimitiveDateTime::parse(date, format).ok().filter(|_| date.len() == 16);
    parsed
        .map(|time| time.assume_utc().unix_timestamp())
        .ok_or_else(|| malformed("x-amz-date must be YYYYMMDDTHHMMSSZ"))
}

#[cfg(test)]
mod tests {
    use http::{Method, Request};
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_767_323_045;

    fn verifier() -> Verifier {
        Verifier::new("eu-west-1", "lambda", &[Credentials::new("EDGE", "secret").unwrap()]).unwrap()
    }

    /// Returns a request signed as the edge does.
    fn signed(note: &str, body: &[u8]) -> Parts {
        let edge = Signer::new(Credentials::new("EDGE", "secret").unwrap(), "eu-west-1", "lambda").unwrap();
        let parts = RequestParts {
            method: &Method::POST,
            origin: "http://127.0.0.1:9",
            path: "/home",
            query: &[],
            headers: &[("x-note".into(), note.into())],
        };
        let signed = edge.sign(&parts, Payload::Bytes(body), NOW).unwrap();
        let mut request = Request::post("/home").header(HOST, "127.0.0.1:9").body(()).unwrap();
        request.headers_mut().extend(signed.headers);
        request.into_parts().0
    }

    fn verify(head: &Parts, body: &[u8]) -> Result<(), Refusal> {
        verifier().verify(head, body, Timestamp::from_unix_seconds(NOW))
    }

    proptest! {
        #[test]
        fn a_signed_request_is_accepted_and_one_with_a_changed_byte_is_not(
            note in "[a-z]{1,20}",
            body in prop::collection::vec(any::<u8>(), 1..100),
            at: prop::sample::Index,
            to in 1u8..,
        ) {
            let head = signed(&note, &body);
            prop_assert_eq!(verify(&head, &body), Ok(()));

            let mut changed = body.clone();
            changed[at.index(body.len())] ^= to;
            prop_assert_eq!(verify(&head, &changed), Err(Refusal::Mismatch));
            prop_assert_eq!(verify(&head, &body[1..]), Err(Refusal::Mismatch));

            for name in ["x-note", "authorization", "x-amz-date", "host"] {
                let mut head = signed(&note, &body);
                let value = head.headers[name].as_bytes();
                let mut changed = value.to_vec();
                let at = at.index(value.len());
                changed[at] = if value[at] == b'7' { b'8' } else { b'7' };
                head.headers.insert(HeaderName::from_static(name), changed.try_into().unwrap());
                prop_assert!(verify(&head, &body).is_err(), "{name} at {at}");
            }
            let mut head = signed(&note, &body);
            head.method = Method::PUT;
            prop_assert_eq!(verify(&head, &body), Err(Refusal::Mismatch));
            head.method = Method::POST;
            head.uri = "/hom".parse().unwrap();
            prop_assert_eq!(verify(&head, &body), Err(Refusal::Mismatch));
        }

        #[test]
        fn an_arbitrary_authorization_is_refused_without_a_panic(
            authorization in "AWS4-HMAC-SHA256 (Credential=[!-~]{0,60}, ?)?(SignedHeaders=[a-z;-]{0,40}, ?)?(Signature=[0-9a-f]{0,70})?|[ -~]{0,80}",
            date in "[0-9]{8}T[0-9]{6}Z|[ -~]{0,20}",
        ) {
            let mut head = signed("a", b"");
            head.headers.insert(AUTHORIZATION, authorization.try_into().unwrap());
            prop_assert!(verify(&head, b"").is_err());
            let mut head = signed("a", b"");
            head.headers.insert(DATE, date.try_into().unwrap());
            prop_assert!(verify(&head, b"").is_err());
        }
    }
}

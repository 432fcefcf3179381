//! The refusal of a signature that does not match, with what the server computed.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use s3s::s3_error;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::ALGORITHM;
use super::canonical_request::{canonical_request, canonical_value};
use super::fields::SignatureFields;
use crate::s3::auth::Credentials;
use crate::s3::refusal::Refusal;

/// Headers whose values are secrets of the client. They are not repeated in a response, which people paste into reports.
const SECRET_HEADERS: [&str; 2] =
    ["x-amz-server-side-encryption-customer-key", "x-amz-copy-source-server-side-encryption-customer-key"];

/// The methods that a request could have been signed for instead.
const METHODS: [Method; 5] = [Method::GET, Method::HEAD, Method::PUT, Method::POST, Method::DELETE];

/// What the signature of a request was made over: the request without its body.
pub(in crate::s3) struct SignedRequest {
    method: Method,
    uri: Uri,
    /// Decoded.
    query: Vec<(String, String)>,
    /// The signed headers.
    headers: HeaderMap,
    signature: SignatureFields,
}

impl SignedRequest {
    pub(super) fn new(request: &Parts, query: Vec<(String, String)>, signature: SignatureFields) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            if signature.headers.iter().any(|signed| signed == name.as_str()) {
                headers.append(name, value.clone());
            }
        }
        Self { method: request.method.clone(), uri: request.uri.clone(), query, headers, signature }
    }

    /// Whether the header is signed.
    pub(in crate::s3) fn covers(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// The refusal for a signature that does not match. It names the method if the signature is one for another method,
    /// and otherwise everything that the signature covers: what was signed cannot be computed from a signature.
    pub(in crate::s3) fn mismatch(&self, credentials: &[Credentials]) -> Refusal {
        let key_id = self.signature.credential.split('/').next().unwrap_or_default();
        let signer = credentials.iter().find(|pair| pair.access_key_id() == key_id);
        let other_method = signer.and_then(|signer| {
            METHODS.into_iter().find(|method| *method != self.method && self.is_signed_for(method, signer))
        });
        let mut message =
            "The request signature we calculated does not match the signature you provided. Check your \
                           key and signing method. "
                .to_owned();
        match other_method {
            Some(method) => write!(message, "It was signed for {method}; this request is a {}.", self.method),
            None => write!(
                message,
                "The signature covers the method {}, the path, the query and these headers, as they were received: {}. \
                 Send each exactly as it was signed.",
                self.method,
                self.covered_headers()
            ),
        }
        .expect("writing to a string does not fail");
        let canonical_request = self.canonical_request(&self.method, true);
        let string_to_sign = self.string_to_sign(&canonical_request);
        Refusal {
            error: s3_error!(SignatureDoesNotMatch, "{message}"),
            details: vec![
                ("AWSAccessKeyId", key_id.to_owned()),
                ("StringToSign", string_to_sign.clone()),
                ("SignatureProvided", self.signature.signature.clone()),
                ("StringToSignBytes", spaced_hex(&string_to_sign)),
                ("CanonicalRequest", canonical_request.clone()),
                ("CanonicalRequestBytes", spaced_hex(&canonical_request)),
            ],
        }
    }

    /// Whether its signature is one of `signer` for a request with this method.
    pub(super) fn is_signed_for(&self, method: &Method, signer: &Credentials) -> bool {
        let string_to_sign = self.string_to_sign(&self.canonical_request(method, false));
        let mut key = format!("AWS4{}", signer.secret()).into_bytes();
        for part in self.scope().split('/').chain([string_to_sign.as_str()]) {
            key = hmac(&key, part);
        }
        HEXLOWER.encode(&key).as_bytes().ct_eq(self.signature.signature.as_bytes()).into()
    }

    /// `date/region/service/aws4_request`.
    fn scope(&self) -> &str {
        self.signature.credential.split_once('/').map_or("", |(_, scope)| scope)
    }

    fn string_to_sign(&self, canonical_request: &str) -> String {
        let digest = HEXLOWER.encode(&Sha256::digest(canonical_request));
        format!("{ALGORITHM}\n{}\n{}\n{digest}", self.signature.time, self.scope())
    }

    /// The canonical request, as if it had the given method.
    fn canonical_request(&self, method: &Method, hides_secrets: bool) -> String {
        let payload = if self.signature.expires.is_some() {
            "UNSIGNED-PAYLOAD".to_owned()
        } else {
            self.value("x-amz-content-sha256")
        };
        canonical_request(method, self.uri.path(), &self.query, &self.signed_headers(hides_secrets), &payload)
    }

    fn signed_headers(&self, hides_secrets: bool) -> Vec<(String, String)> {
        let mut names: Vec<&str> = self.headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        let value = |name| {
            let hidden = hides_secrets && SECRET_HEADERS.contains(&name);
            if hidden { "(not shown)".to_owned() } else { self.value(name) }
        };
        names.into_iter().map(|name| (name.to_owned(), value(name))).collect()
    }

    fn value(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter();
        canonical_value(values.map(|value| String::from_utf8_lossy(value.as_bytes())))
    }

    /// The headers that the signature covers, those that a client chooses before the host.
    fn covered_headers(&self) -> String {
        let mut headers = self.signed_headers(true);
        headers.sort_by_key(|(name, _)| *name == HOST.as_str());
        let headers: Vec<String> =
            headers.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        headers.join("; ")
    }
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The bytes in hex, separated by spaces.
fn spaced_hex(text: &str) -> String {
    let bytes: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

//! AWS Signature Version 4, in both of its forms: in the query ([`Signer::presign`], for URLs that others use)
//! and in headers ([`Signer::sign`], for requests that this process sends).
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

mod canonical;
mod credentials;
pub(super) mod encode;
mod error;
#[cfg(test)]
mod golden;
mod moment;
mod query;
mod signing_keys;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use hmac::Mac;
use http::{HeaderMap, HeaderValue, Method};
use sha2::{Digest, Sha256};

pub use credentials::{Credentials, InvalidCredentials};
pub use error::SigningError;
pub use signing_keys::SigningKeys;

use super::SignedUrl;
use canonical::{CanonicalHeaders, Placement, canonical_request};
use moment::Moment;
use query::QueryWriter;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The longest life of a presigned URL in seconds: seven days, which is also as long as a signing key is good for.
pub const MAX_EXPIRES_IN: u32 = 604_800;

/// Signs requests to one service in one region with one set of credentials. Cloning is cheap.
#[derive(Clone)]
pub struct Signer {
    credentials: Credentials,
    region: String,
    service: String,
    /// `/region/service/aws4_request`: what stands after the day in every scope.
    scope: String,
    /// The same in a query.
    encoded_scope: String,
    keys: Arc<SigningKeys>,
}

/// The parts of a request that a signature covers, besides its body.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// Any method; it stands in the signature.
    pub method: &'a Method,
    /// `scheme://host` or `scheme://host:port`, the port only where it is not the scheme's own.
    pub origin: &'a str,
    /// The path as it will be sent: percent-encoded once, beginning with a slash.
    pub path: &'a str,
    /// Names and values as they are meant, not encoded. A flag such as `uploads` has an empty value.
    pub query: &'a [(Cow<'a, str>, Cow<'a, str>)],
    /// Names in any case. All of them are signed: the request must be sent with exactly these values.
    pub headers: &'a [(Cow<'a, str>, Cow<'a, str>)],
}

/// What the signature says of the body.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// The body itself, empty where there is none.
    Bytes(&'a [u8]),
    /// A body that is not at hand, by its SHA-256.
    Sha256([u8; 32]),
    /// Any body. S3 accepts this over TLS; other services do not.
    Unsigned,
}

/// A request that carries its signature in its headers. `Debug` hides the signature and the session token.
#[derive(Debug, Clone)]
pub struct SignedRequest {
    /// As given.
    pub method: Method,
    /// The whole URL. Nothing in it is secret.
    pub url: String,
    /// The given headers and the signature's. `Host` is missing: an HTTP client derives it from the URL.
    pub headers: HeaderMap,
}

impl Signer {
    /// A signer with signing keys of its own.
    pub fn new(credentials: Credentials, region: &str, service: &str) -> Result<Self, SigningError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_name = |text: &str| !text.is_empty() && text.bytes().all(plain);
        if !is_name(region) {
            return Err(SigningError::InvalidRegion);
        }
        if !is_name(service) {
            return Err(SigningError::InvalidService);
        }
        // Regions and services hold nothing that needs encoding: only the slashes between them do.
        let [scope, encoded_scope] =
            ["/", "%2F"].map(|slash| [slash, region, slash, service, slash, "aws4_request"].concat());
        let (region, service) = (region.to_owned(), service.to_owned());
        Ok(Self { credentials, region, service, scope, encoded_scope, keys: Arc::default() })
    }

    /// The same signer with a cache that others use too; it survives a change of credentials.
    #[must_use]
    pub fn with_keys(self, keys: Arc<SigningKeys>) -> Self {
        Self { keys, ..self }
    }

    /// The credentials that this signer signs with.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A URL that carries the signature in its query, good for `expires_in` seconds (1 to [`MAX_EXPIRES_IN`])
    /// from `now` (Unix seconds). The body is not signed (`UNSIGNED-PAYLOAD`); the headers are, so whoever uses
    /// the URL must send them as given.
    pub fn presign(
        &self,
        request: &RequestParts<'_>,
        expires_in: u32,
        now: i64,
    ) -> Result<SignedUrl, SigningError> {
        let prepared = self.prepare_presign(request, expires_in, now)?;
        let signature = self.signature(&prepared.moment, &prepared.canonical_request);
        let mut url = prepared.url;
        let token = url.split_off(prepared.signature_at);
        url.push_str("&X-Amz-Signature=");
        url.push_str(signature.as_str());
        url.push_str(&token);
        Ok(SignedUrl::new(url))
    }

    /// The request with the signature in its `Authorization` header, good for about 15 minutes around `now`
    /// (Unix seconds).
    pub fn sign(
        &self,
        request: &RequestParts<'_>,
        payload: Payload<'_>,
        now: i64,
    ) -> Result<SignedRequest, SigningError> {
        let prepared = self.prepare_sign(request, payload, now)?;
        let signature = self.signature(&prepared.moment, &prepared.canonical_request);
        let authorization = format!(
            "{ALGORITHM} Credential={}/{}{}, SignedHeaders={}, Signature={}",
            self.credentials.access_key_id(),
            prepared.moment.date(),
            self.scope,
            prepared.signed_headers,
            signature.as_str(),
        );
        let mut headers = prepared.headers;
        headers.insert(http::header::AUTHORIZATION, sensitive(&authorization));
        Ok(SignedRequest { method: request.method.clone(), url: prepared.url, headers })
    }

    fn prepare_presign(
        &self,
        request: &RequestParts<'_>,
        expires_in: u32,
        now: i64,
    ) -> Result<PreparedPresign, SigningError> {
        if !(1..=MAX_EXPIRES_IN).contains(&expires_in) {
            return Err(SigningError::ExpiryOutOfRange { seconds: expires_in });
        }
        let moment = Moment::from_unix_seconds(now)?;
        let headers = CanonicalHeaders::new(request, Placement::Query)?;
        let signed_headers = headers.names();

        let mut query = QueryWriter::new(request)?;
        let id = self.credentials.access_key_id();
        query.push_encoded("X-Amz-Algorithm", &[ALGORITHM]);
        query.push_encoded("X-Amz-Credential", &[id, "%2F", moment.date(), &self.encoded_scope]);
        query.push_encoded("X-Amz-Date", &[moment.date_time()]);
        query.push_encoded("X-Amz-Expires", &[&expires_in.to_string()]);
        query.push("X-Amz-SignedHeaders", &signed_headers);
        // The signature goes here, before the token: the order of AWS's own SDK for Rust.
        let signature_at = query.len();
        if let Some(token) = self.credentials.session_token() {
            query.push("X-Amz-Security-Token", token);
        }
        let canonical_request = canonical_request(
            request.method,
            &self.canonical_path(request.path),
            &query,
            &headers,
            &signed_headers,
            UNSIGNED_PAYLOAD,
        );
        Ok(PreparedPresign { moment, canonical_request, url: query.into_url(), signature_at })
    }

    fn prepare_sign(
        &self,
        request: &RequestParts<'_>,
        payload: Payload<'_>,
        now: i64,
    ) -> Result<PreparedSign, SigningError> {
        let moment = Moment::from_unix_seconds(now)?;
        let payload = match payload {
            Payload::Bytes(body) => Cow::Owned(base16ct::lower::encode_string(&Sha256::digest(body))),
            Payload::Sha256(digest) => Cow::Owned(base16ct::lower::encode_string(&digest)),
            Payload::Unsigned => Cow::Borrowed(UNSIGNED_PAYLOAD),
        };
        let mut canonical = CanonicalHeaders::new(request, Placement::Headers)?;
        let mut headers = canonical.to_header_map();
        let mut add = |name: &'static str, text: &str, value: HeaderValue| {
            headers.insert(name, value);
            canonical.push(name, text.to_owned());
        };
        add("x-amz-date", moment.date_time(), visible(moment.date_time()));
        if let Some(token) = self.credentials.session_token() {
            add("x-amz-security-token", token, sensitive(token));
        }
        if self.is_s3() {
            add("x-amz-content-sha256", &payload, visible(&payload));
        }
        let signed_headers = canonical.names();
        let query = QueryWriter::new(request)?;
        let canonical_request = canonical_request(
            request.method,
            &self.canonical_path(request.path),
            &query,
            &canonical,
            &signed_headers,
            &payload,
        );
        Ok(PreparedSign { moment, canonical_request, url: query.into_url(), headers, signed_headers })
    }

    /// S3 takes the path as it is sent, so that every key stays distinct; all other services want it normalised
    /// and encoded once more.
    fn canonical_path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        if self.is_s3() { Cow::Borrowed(path) } else { Cow::Owned(canonical::normalized_and_encoded(path)) }
    }

    fn is_s3(&self) -> bool {
        self.service == "s3"
    }

    fn string_to_sign(&self, moment: &Moment, canonical_request: &str) -> String {
        let hash = Hex::of(Sha256::digest(canonical_request));
        let pieces =
            [ALGORITHM, "\n", moment.date_time(), "\n", moment.date(), &self.scope, "\n", hash.as_str()];
        let mut text = String::with_capacity(192);
        for piece in pieces {
            text.push_str(piece);
        }
        text
    }

    fn signature(&self, moment: &Moment, canonical_request: &str) -> Hex {
        let string_to_sign = self.string_to_sign(moment, canonical_request);
        let key = self.keys.get(&self.credentials, moment.date(), &self.region, &self.service);
        Hex::of(key.chain_update(string_to_sign).finalize().into_bytes())
    }
}

/// Thirty-two bytes in lower-case hexadecimal digits.
struct Hex([u8; 64]);

impl Hex {
    fn of(bytes: impl AsRef<[u8]>) -> Self {
        let mut digits = [0; 64];
        base16ct::lower::encode(bytes.as_ref(), &mut digits).expect("two digits a byte");
        Self(digits)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits")
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Signer")
            .field("credentials", &self.credentials)
            .field("region", &self.region)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

struct PreparedPresign {
    moment: Moment,
    canonical_request: String,
    /// Everything but the signature.
    url: String,
    signature_at: usize,
}

struct PreparedSign {
    moment: Moment,
    canonical_request: String,
    url: String,
    headers: HeaderMap,
    signed_headers: Cow<'static, str>,
}

fn visible(text: &str) -> HeaderValue {
    HeaderValue::from_str(text)
        .expect("dates, hashes, credentials, scopes and header names are visible ASCII")
}

fn sensitive(text: &str) -> HeaderValue {
    let mut value = visible(text);
    value.set_sensitive(true);
    value
}

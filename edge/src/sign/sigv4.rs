//! AWS Signature Version 4, with the signature in the query ([`Signer::presign`], for URLs that clients use) or in
//! headers ([`Signer::sign`], for requests that this process sends).
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

mod canonical_request;
mod credentials;
mod date_time;
pub(super) mod encode;
mod error;
#[cfg(test)]
mod golden;
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
pub use signing_keys::SigningKeyCache;

use super::SignedUrl;
use canonical_request::{CanonicalHeaders, SignatureLocation, canonical_request};
use date_time::DateTime;
use query::QueryWriter;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// The longest lifetime of a presigned URL, in seconds: seven days.
pub const MAX_EXPIRES_IN: u32 = 604_800;

/// Signs requests to one service in one region with one set of credentials. Cloning is cheap.
#[derive(Clone)]
pub struct Signer {
    credentials: Credentials,
    region: String,
    service: String,
    /// `/region/service/aws4_request`: the credential scope after its date.
    scope_suffix: String,
    /// `scope_suffix`, percent-encoded for a query.
    encoded_scope_suffix: String,
    keys: Arc<SigningKeyCache>,
}

/// The parts of a request that a signature covers, besides its body.
#[derive(Debug, Clone, Copy)]
pub struct RequestParts<'a> {
    /// The method.
    pub method: &'a Method,
    /// `scheme://host` or `scheme://host:port`, without the scheme's default port.
    pub origin: &'a str,
    /// The path as it will be sent: percent-encoded once, with a leading slash.
    pub path: &'a str,
    /// Names and values, not encoded. A flag such as `uploads` has an empty value.
    pub query: &'a [(Cow<'a, str>, Cow<'a, str>)],
    /// Names (in any case) and values. All are signed: the request must be sent with exactly these values.
    pub headers: &'a [(Cow<'a, str>, Cow<'a, str>)],
}

/// How the body is signed.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// The body; empty if there is none.
    Bytes(&'a [u8]),
    /// The SHA-256 of the body.
    Sha256([u8; 32]),
    /// The body is not signed. S3 accepts this over TLS; other services do not.
    Unsigned,
}

/// A request with its signature in its headers. `Debug` hides the signature and the session token.
#[derive(Debug, Clone)]
pub struct SignedRequest {
    /// The method.
    pub method: Method,
    /// The URL. It contains no secret.
    pub url: String,
    /// The request's headers and the signature's, without `Host`, which an HTTP client derives from the URL.
    pub headers: HeaderMap,
}

impl Signer {
    /// A signer with its own cache of signing keys.
    pub fn new(credentials: Credentials, region: &str, service: &str) -> Result<Self, SigningError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_name = |text: &str| !text.is_empty() && text.bytes().all(plain);
        if !is_name(region) {
            return Err(SigningError::InvalidRegion);
        }
        if !is_name(service) {
            return Err(SigningError::InvalidService);
        }
        // Only the slashes need encoding: regions and services contain unreserved characters only.
        let [scope_suffix, encoded_scope_suffix] =
            ["/", "%2F"].map(|slash| [slash, region, slash, service, slash, "aws4_request"].concat());
        let (region, service) = (region.to_owned(), service.to_owned());
        Ok(Self { credentials, region, service, scope_suffix, encoded_scope_suffix, keys: Arc::default() })
    }

    /// The same signer with a shared cache of signing keys, which can outlive a change of credentials.
    #[must_use]
    pub fn with_keys(self, keys: Arc<SigningKeyCache>) -> Self {
        Self { keys, ..self }
    }

    /// The credentials.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The URL with the signature in its query, valid for `expires_in` seconds (1 to [`MAX_EXPIRES_IN`]) from `now` (Unix
    /// seconds). The body is not signed (`UNSIGNED-PAYLOAD`). The headers are: the client must send exactly these.
    pub fn presign(
        &self,
        request: &RequestParts<'_>,
        expires_in: u32,
        now: i64,
    ) -> Result<SignedUrl, SigningError> {
        let prepared = self.prepare_presign(request, expires_in, now)?;
        let signature = self.calculate_signature(&prepared.date_time, &prepared.canonical_request);
        let mut url = prepared.url;
        let token = url.split_off(prepared.signature_at);
        url.push_str("&X-Amz-Signature=");
        url.push_str(signature.as_str());
        url.push_str(&token);
        Ok(SignedUrl::new(url))
    }

    /// The request with the signature in its `Authorization` header. AWS accepts it for about 15 minutes before and after
    /// `now` (Unix seconds).
    pub fn sign(
        &self,
        request: &RequestParts<'_>,
        payload: Payload<'_>,
        now: i64,
    ) -> Result<SignedRequest, SigningError> {
        let prepared = self.prepare_sign(request, payload, now)?;
        let signature = self.calculate_signature(&prepared.date_time, &prepared.canonical_request);
        let authorization = format!(
            "{ALGORITHM} Credential={}/{}{}, SignedHeaders={}, Signature={}",
            self.credentials.access_key_id(),
            prepared.date_time.date(),
            self.scope_suffix,
            prepared.signed_headers,
            signature.as_str(),
        );
        let mut headers = prepared.headers;
        headers.insert(http::header::AUTHORIZATION, sensitive_header_value(&authorization));
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
        let date_time = DateTime::from_unix_seconds(now)?;
        let headers = CanonicalHeaders::new(request, SignatureLocation::QueryParams)?;
        let signed_headers = headers.names();

        let mut query = QueryWriter::new(request)?;
        let id = self.credentials.access_key_id();
        query.push_encoded("X-Amz-Algorithm", &[ALGORITHM]);
        query.push_encoded("X-Amz-Credential", &[id, "%2F", date_time.date(), &self.encoded_scope_suffix]);
        query.push_encoded("X-Amz-Date", &[date_time.as_str()]);
        query.push_encoded("X-Amz-Expires", &[&expires_in.to_string()]);
        query.push("X-Amz-SignedHeaders", &signed_headers);
        // The signature is inserted here, before the token, in the order of the AWS SDK for Rust.
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
        Ok(PreparedPresign { date_time, canonical_request, url: query.into_url(), signature_at })
    }

    fn prepare_sign(
        &self,
        request: &RequestParts<'_>,
        payload: Payload<'_>,
        now: i64,
    ) -> Result<PreparedSign, SigningError> {
        let date_time = DateTime::from_unix_seconds(now)?;
        let payload = match payload {
            Payload::Bytes(body) => Cow::Owned(base16ct::lower::encode_string(&Sha256::digest(body))),
            Payload::Sha256(digest) => Cow::Owned(base16ct::lower::encode_string(&digest)),
            Payload::Unsigned => Cow::Borrowed(UNSIGNED_PAYLOAD),
        };
        let mut canonical_headers = CanonicalHeaders::new(request, SignatureLocation::Headers)?;
        let mut headers = canonical_headers.to_header_map();
        let mut add = |name: &'static str, text: &str, value: HeaderValue| {
            headers.insert(name, value);
            canonical_headers.push(name, text.to_owned());
        };
        add("x-amz-date", date_time.as_str(), header_value(date_time.as_str()));
        if let Some(token) = self.credentials.session_token() {
            add("x-amz-security-token", token, sensitive_header_value(token));
        }
        if self.is_s3() {
            add("x-amz-content-sha256", &payload, header_value(&payload));
        }
        let signed_headers = canonical_headers.names();
        let query = QueryWriter::new(request)?;
        let canonical_request = canonical_request(
            request.method,
            &self.canonical_path(request.path),
            &query,
            &canonical_headers,
            &signed_headers,
            &payload,
        );
        Ok(PreparedSign { date_time, canonical_request, url: query.into_url(), headers, signed_headers })
    }

    /// The path in the canonical request. S3 uses the path as sent, so that every key stays distinct; other services
    /// use it normalized and encoded a second time.
    fn canonical_path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        if self.is_s3() {
            Cow::Borrowed(path)
        } else {
            Cow::Owned(canonical_request::normalize_uri_path(path))
        }
    }

    fn is_s3(&self) -> bool {
        self.service == "s3"
    }

    fn string_to_sign(&self, date_time: &DateTime, canonical_request: &str) -> String {
        let hash = Hex::of(Sha256::digest(canonical_request));
        let pieces = [
            ALGORITHM,
            "\n",
            date_time.as_str(),
            "\n",
            date_time.date(),
            &self.scope_suffix,
            "\n",
            hash.as_str(),
        ];
        let mut text = String::with_capacity(192);
        for piece in pieces {
            text.push_str(piece);
        }
        text
    }

    fn calculate_signature(&self, date_time: &DateTime, canonical_request: &str) -> Hex {
        let string_to_sign = self.string_to_sign(date_time, canonical_request);
        let key = self.keys.get(&self.credentials, date_time.date(), &self.region, &self.service);
        Hex::of(key.chain_update(string_to_sign).finalize().into_bytes())
    }
}

/// 32 bytes as lower-case hexadecimal digits.
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
    date_time: DateTime,
    canonical_request: String,
    /// The URL without the signature.
    url: String,
    /// Where in `url` the signature is inserted.
    signature_at: usize,
}

struct PreparedSign {
    date_time: DateTime,
    canonical_request: String,
    url: String,
    headers: HeaderMap,
    signed_headers: Cow<'static, str>,
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text)
        .expect("dates, hashes, credentials, scopes and header names are visible ASCII")
}

fn sensitive_header_value(text: &str) -> HeaderValue {
    let mut value = header_value(text);
    value.set_sensitive(true);
    value
}

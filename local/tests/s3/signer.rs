//! A signer based on the `aws-sigv4` crate: independent of the server, and able to sign requests that no client sends.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::raw::RawRequest;
use crate::server::{ACCESS_KEY_ID, RAW, REGION, SECRET_ACCESS_KEY};

/// The characters that are percent-encoded in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

/// The path of an object.
pub(crate) fn path(bucket: &str, key: &str) -> String {
    format!("/{bucket}/{}", utf8_percent_encode(key, PATH))
}

/// A PUT of the four bytes `body` to a key in the bucket [`RAW`].
pub(crate) fn put_object(key: &str) -> RawRequest {
    RawRequest::new("PUT", path(RAW, key)).body("body")
}

/// Signs requests with Signature Version 4.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) region: String,
    pub(crate) service: String,
    pub(crate) time: SystemTime,
    pub(crate) expires: Duration,
}

impl Default for Signer {
    fn default() -> Self {
        Self {
            access_key_id: ACCESS_KEY_ID.to_owned(),
            secret_access_key: SECRET_ACCESS_KEY.to_owned(),
            region: REGION.to_owned(),
            service: "s3".to_owned(),
            time: SystemTime::now(),
            expires: Duration::from_mins(5),
        }
    }
}

impl Signer {
    fn settings(location: SignatureLocation) -> SigningSettings {
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        settings.signature_location = location;
        settings
    }

    /// Presigns the request: the signature is in the query, and the headers of the request are signed.
    pub(crate) fn presign(&self, host: &str, request: RawRequest) -> RawRequest {
        let mut settings = Self::settings(SignatureLocation::QueryParams);
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        settings.expires_in = Some(self.expires);
        let (_, parameters, _) = self.sign(host, &request, SignableBody::UnsignedPayload, settings);
        let query: Vec<String> = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, PATH)).replace('/', "%2F"))
            .collect();
        let separator = if request.target.contains('?') { '&' } else { '?' };
        RawRequest { target: format!("{}{separator}{}", request.target, query.join("&")), ..request }
    }

    /// Signs the request in the `Authorization` header, with the SHA-256 of the body.
    pub(crate) fn authorize(&self, host: &str, request: RawRequest) -> RawRequest {
        let body = request.body.clone();
        self.authorize_payload(host, request, SignableBody::Bytes(&body)).0
    }

    /// Signs the request in the `Authorization` header, with the given payload hash. Returns the signature, too.
    pub(crate) fn authorize_payload(
        &self,
        host: &str,
        mut request: RawRequest,
        payload: SignableBody<'_>,
    ) -> (RawRequest, String) {
        let settings = Self::settings(SignatureLocation::Headers);
        let (headers, _, signature) = self.sign(host, &request, payload, settings);
        request.headers.extend(headers);
        (request, signature)
    }

    #[expect(
        clippy::type_complexity,
        reason = "the results of signing: headers, query parameters, the signature"
    )]
    fn sign(
        &self,
        host: &str,
        request: &RawRequest,
        payload: SignableBody<'_>,
        settings: SigningSettings,
    ) -> (Vec<(String, String)>, Vec<(String, String)>, String) {
        let identity = self.credentials().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(self.time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let url = format!("http://{host}{}", request.target);
        let headers = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let signable = SignableRequest::new(&request.method, url, headers, payload).unwrap();
        let (instructions, signature) = sign(signable, &params).unwrap().into_parts();
        let (headers, parameters) = instructions.into_parts();
        let headers =
            headers.iter().map(|header| (header.name().to_owned(), header.value().to_owned())).collect();
        let parameters =
            parameters.into_iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
        (headers, parameters, signature)
    }

    fn credentials(&self) -> Credentials {
        Credentials::new(&self.access_key_id, &self.secret_access_key, None, None, "test")
    }

    /// The body of a `STREAMING-AWS4-HMAC-SHA256-PAYLOAD` request: each chunk with its signature.
    pub(crate) fn signed_chunks(&self, seed: &str, chunks: &[&[u8]]) -> Vec<u8> {
        let identity = self.credentials().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(self.time)
            .settings(())
            .build()
            .unwrap();
        let mut previous = seed.to_owned();
        let mut body = Vec::new();
        for chunk in chunks.iter().copied().chain([&b""[..]]) {
            let signed = v4::sign_chunk(&bytes::Bytes::copy_from_slice(chunk), &previous, &params).unwrap();
            signed.signature().clone_into(&mut previous);
            body.extend(format!("{:x};chunk-signature={previous}\r\n", chunk.len()).bytes());
            body.extend(chunk);
            body.extend(b"\r\n");
        }
        body
    }
}

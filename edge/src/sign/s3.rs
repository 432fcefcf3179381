//! Signed requests for the objects of an S3 bucket.

mod bucket;
mod request;

use std::sync::Arc;

pub use bucket::{AddressStyle, Bucket, InvalidBucket};
pub use request::ObjectRequest;

use super::SignedUrl;
use super::sigv4::{
    Credentials, Payload, RequestParts, SignedRequest, Signer, SigningError, SigningKeyCache, encode,
};

/// Signs requests for the objects of one bucket. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct BucketSigner {
    bucket: Bucket,
    signer: Signer,
}

impl BucketSigner {
    /// A signer for `bucket` with `credentials`.
    pub fn new(bucket: Bucket, credentials: Credentials) -> Self {
        let signer = Signer::new(credentials, bucket.region(), "s3").expect("a bucket's region is valid");
        Self { bucket, signer }
    }

    /// The same signer with a shared cache of signing keys, which can outlive a change of credentials.
    #[must_use]
    pub fn with_keys(self, keys: Arc<SigningKeyCache>) -> Self {
        Self { signer: self.signer.with_keys(keys), ..self }
    }

    /// The bucket whose objects this signs for.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// A URL that permits this request, with any body, for `expires_in` seconds (1 to 604,800) from `now` (Unix seconds).
    /// The client must send exactly the request's headers ([`ObjectRequest::headers`]).
    pub fn presign(
        &self,
        request: &ObjectRequest<'_>,
        expires_in: u32,
        now: i64,
    ) -> Result<SignedUrl, SigningError> {
        let path = self.path(request)?;
        self.signer.presign(&self.parts(request, &path), expires_in, now)
    }

    /// The request with its signature in headers, for this process to send. `payload` decides whether the body is signed.
    pub fn sign(
        &self,
        request: &ObjectRequest<'_>,
        payload: Payload<'_>,
        now: i64,
    ) -> Result<SignedRequest, SigningError> {
        let path = self.path(request)?;
        self.signer.sign(&self.parts(request, &path), payload, now)
    }

    fn path(&self, request: &ObjectRequest<'_>) -> Result<String, SigningError> {
        let key = request.key();
        if !(1..=1024).contains(&key.len()) {
            return Err(SigningError::KeyLength { bytes: key.len() });
        }
        let mut path = String::with_capacity(self.bucket.path_prefix().len() + key.len() * 3 / 2);
        path.push_str(self.bucket.path_prefix());
        encode::percent_encode_path(&mut path, key);
        Ok(path)
    }

    fn parts<'a>(&'a self, request: &'a ObjectRequest<'a>, path: &'a str) -> RequestParts<'a> {
        RequestParts {
            method: request.method(),
            origin: self.bucket.origin(),
            path,
            query: request.query_pairs(),
            headers: request.header_pairs(),
        }
    }
}

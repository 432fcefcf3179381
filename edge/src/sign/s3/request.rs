use std::borrow::Cow;

use http::Method;

/// An S3 request for one object: method, key, query parameters and headers. Checked when it is signed.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations.html>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRequest<'a> {
    method: Method,
    key: Cow<'a, str>,
    query: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> ObjectRequest<'a> {
    /// A request with any method for the object `key` (not encoded; 1 to 1,024 bytes).
    pub fn new(method: Method, key: impl Into<Cow<'a, str>>) -> Self {
        Self { method, key: key.into(), query: Vec::new(), headers: Vec::new() }
    }

    /// `GetObject`.
    pub fn get(key: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Method::GET, key)
    }

    /// `HeadObject`.
    pub fn head(key: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Method::HEAD, key)
    }

    /// `PutObject`.
    pub fn put(key: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Method::PUT, key)
    }

    /// `DeleteObject`.
    pub fn delete(key: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Method::DELETE, key)
    }

    /// `CreateMultipartUpload`: the object's headers (`content-type`, `x-amz-meta-*`, …) belong to this request, not
    /// to those of its parts.
    pub fn create_multipart_upload(key: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Method::POST, key).query("uploads", "")
    }

    /// `UploadPart`, with `part_number` from 1 to 10,000.
    pub fn upload_part(
        key: impl Into<Cow<'a, str>>,
        upload_id: impl Into<Cow<'a, str>>,
        part_number: u16,
    ) -> Self {
        Self::new(Method::PUT, key).query("partNumber", part_number.to_string()).query("uploadId", upload_id)
    }

    /// `CompleteMultipartUpload`, whose body lists the parts.
    pub fn complete_multipart_upload(
        key: impl Into<Cow<'a, str>>,
        upload_id: impl Into<Cow<'a, str>>,
    ) -> Self {
        Self::new(Method::POST, key).query("uploadId", upload_id)
    }

    /// `AbortMultipartUpload`.
    pub fn abort_multipart_upload(key: impl Into<Cow<'a, str>>, upload_id: impl Into<Cow<'a, str>>) -> Self {
        Self::new(Method::DELETE, key).query("uploadId", upload_id)
    }

    /// Adds a query parameter. A flag such as `uploads` has an empty value.
    #[must_use]
    pub fn query(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Adds a header, which will be signed.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The key, not encoded.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The names and values of the headers, as they were passed.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (&**name, &**value))
    }

    pub(super) fn query_pairs(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        &self.query
    }

    pub(super) fn header_pairs(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        &self.headers
    }
}

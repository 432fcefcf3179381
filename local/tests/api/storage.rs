//! The object store of a target, for objects that a worker would write.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Method, Request};
use streamio_edge::sign::s3::{AddressStyle, Bucket, BucketSigner, ObjectRequest};
use streamio_edge::sign::sigv4::Credentials;

use crate::http_client;
use crate::target::authority;

/// The address and keys of the object store.
pub(crate) struct Storage {
    pub(crate) endpoint: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    /// The id of the key pair of the CDN.
    pub(crate) key_pair_id: String,
}

impl Storage {
    /// Puts an object into the processed bucket.
    pub(crate) async fn publish(&self, key: &str, content_type: &str, content: &str) {
        let bucket = Bucket::new(&self.endpoint, "us-east-1", "processed", AddressStyle::Path).unwrap();
        let credentials = Credentials::new(&self.access_key_id, &self.secret_access_key).unwrap();
        let put = ObjectRequest::put(key).header("content-type", content_type);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let url = BucketSigner::new(bucket, credentials)
            .presign(&put, 60, i64::try_from(now).unwrap())
            .unwrap()
            .into_string();
        let request = Request::builder()
            .method(Method::PUT)
            .uri(path_and_query(&url))
            .header("content-type", content_type)
            .body(Bytes::copy_from_slice(content.as_bytes()))
            .unwrap();
        let response = http_client::send(authority(&url), request).await;
        assert_eq!(response.status(), 200, "{key}: {:?}", response.body());
    }
}

/// The path and query of `url`.
pub(crate) fn path_and_query(url: &str) -> &str {
    let start = "http://".len() + authority(url).len();
    &url[start..]
}

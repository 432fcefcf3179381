//! A versioned bucket on the test server.

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use streamio_local::s3::Watch;

use crate::server::S3TestServer;

/// A watched bucket with versioning.
pub(crate) const VERSIONED: &str = "versioned";

impl S3TestServer {
    /// Starts a server that also has the bucket [`VERSIONED`] and accepts parts of any size.
    pub(crate) async fn with_versions() -> Self {
        let server = Self::with_small_parts().await;
        server.store.ensure_bucket(VERSIONED, Watch::Created).await.unwrap();
        server.set_versioning(VERSIONED, BucketVersioningStatus::Enabled).await;
        server
    }

    pub(crate) async fn set_versioning(&self, bucket: &str, status: BucketVersioningStatus) {
        let configuration = VersioningConfiguration::builder().status(status).build();
        let put = self.client.put_bucket_versioning().bucket(bucket);
        put.versioning_configuration(configuration).send().await.unwrap();
    }

    /// Stores an object in [`VERSIONED`]. Returns its version id.
    pub(crate) async fn put_version(&self, key: &str, body: &str) -> String {
        let put = self.client.put_object().bucket(VERSIONED).key(key);
        let put = put.body(body.as_bytes().to_vec().into()).send().await.unwrap();
        put.version_id().expect("the version id of a PUT to a versioned bucket").to_owned()
    }

    /// The body of a version in [`VERSIONED`], or of the current object.
    pub(crate) async fn get_version(&self, key: &str, version_id: Option<&str>) -> String {
        let get = self.client.get_object().bucket(VERSIONED).key(key);
        let got = get.set_version_id(version_id.map(str::to_owned)).send().await.unwrap();
        String::from_utf8(got.body.collect().await.unwrap().to_vec()).unwrap()
    }

    /// Deletes an object of [`VERSIONED`] without a version id. Returns the id of the delete marker.
    pub(crate) async fn delete_current(&self, key: &str) -> String {
        let deleted = self.client.delete_object().bucket(VERSIONED).key(key).send().await.unwrap();
        assert_eq!(deleted.delete_marker(), Some(true));
        deleted.version_id().expect("the version id of the delete marker").to_owned()
    }

    /// Removes a version of an object in [`VERSIONED`].
    pub(crate) async fn remove_version(&self, key: &str, version_id: &str) {
        let delete = self.client.delete_object().bucket(VERSIONED).key(key).version_id(version_id);
        assert_eq!(delete.send().await.unwrap().version_id(), Some(version_id));
    }
}

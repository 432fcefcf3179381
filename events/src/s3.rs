//! Batch deletion of S3 objects, for the S3 adapters of the worker and of the Lambda functions.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::delete_objects::DeleteObjectsError;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

/// The maximum number of keys of one `DeleteObjects`
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html>).
pub const MAX_KEYS_PER_DELETE: usize = 1000;

/// Some objects may still be there.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// A request failed as a whole.
    #[error("DeleteObjects failed")]
    Request(#[source] Box<SdkError<DeleteObjectsError>>),
    /// A request succeeded, but some of its keys did not.
    #[error("DeleteObjects did not delete {keys} of its keys, the first because of {code}")]
    Keys {
        /// How many.
        keys: usize,
        /// The error code of the first of them.
        code: String,
    },
}

/// Deletes the objects `keys` from `bucket`, in requests of at most [`MAX_KEYS_PER_DELETE`]. A missing object counts as deleted.
/// Stops at the first request with an error.
pub async fn delete_objects(
    client: &Client,
    bucket: &str,
    keys: impl IntoIterator<Item = impl Into<String>>,
) -> Result<(), DeleteError> {
    let objects: Vec<ObjectIdentifier> = keys
        .into_iter()
        .map(|key| ObjectIdentifier::builder().key(key).build().expect("the key is set"))
        .collect();
    for objects in objects.chunks(MAX_KEYS_PER_DELETE) {
        let delete = Delete::builder()
            .set_objects(Some(objects.to_vec()))
            .quiet(true)
            .build()
            .expect("the objects are set");
        let request = client.delete_objects().bucket(bucket).delete(delete);
        // The futures of the SDK are large.
        let response = Box::pin(request.send()).await.map_err(|error| DeleteError::Request(error.into()))?;
        if let Some(error) = response.errors().first() {
            let code = error.code().unwrap_or("an error without a code").to_owned();
            return Err(DeleteError::Keys { keys: response.errors().len(), code });
        }
    }
    Ok(())
}

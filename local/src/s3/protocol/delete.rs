//! `DeleteObject` and `DeleteObjects`.

use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, Error,
};
use s3s::{S3Request, S3Result, s3_error};

use super::condition::precondition;
use super::error_mapper::{ErrorMapper, refuse_version};
use super::operations::Operations;
use crate::s3::object::check_key;

/// The largest number of keys in one request.
const MAX_KEYS: usize = 1000;

pub(super) async fn object(
    operations: &Operations,
    request: S3Request<DeleteObjectInput>,
    errors: ErrorMapper,
) -> S3Result<DeleteObjectOutput> {
    let input = request.input;
    refuse_version(input.version_id.as_deref())?;
    if input.if_match_size.is_some() || input.if_match_last_modified_time.is_some() {
        return Err(s3_error!(NotImplemented, "a delete can be conditional on the entity tag only"));
    }
    let precondition = precondition(input.if_match, None)?;
    let deleted = operations.store.delete(&input.bucket, &input.key, precondition).await;
    deleted.map(|_| DeleteObjectOutput::default()).map_err(|error| errors.to_s3(error))
}

pub(super) async fn objects(
    operations: &Operations,
    request: S3Request<DeleteObjectsInput>,
    errors: ErrorMapper,
) -> S3Result<DeleteObjectsOutput> {
    let input = request.input;
    if input.delete.objects.is_empty() || input.delete.objects.len() > MAX_KEYS {
        return Err(s3_error!(MalformedXML, "list 1 to {MAX_KEYS} keys"));
    }
    let (mut keys, mut refused_keys) = (Vec::new(), Vec::new());
    for object in input.delete.objects {
        let refused =
            if object.e_tag.is_some() || object.size.is_some() || object.last_modified_time.is_some() {
                Some(s3_error!(NotImplemented, "the objects of a list cannot be deleted conditionally"))
            } else {
                let version = refuse_version(object.version_id.as_deref());
                version.and_then(|()| check_key(&object.key).map_err(|error| errors.to_s3(error))).err()
            };
        match refused {
            None => keys.push(object.key),
            Some(error) => refused_keys.push(Error {
                code: Some(error.code().as_str().to_owned()),
                message: error.message().map(str::to_owned),
                key: Some(object.key),
                version_id: object.version_id,
            }),
        }
    }
    operations.store.delete_many(&input.bucket, keys.clone()).await.map_err(|error| errors.to_s3(error))?;
    let quiet = input.delete.quiet.unwrap_or(false);
    let deleted = keys.into_iter().filter(|_| !quiet);
    Ok(DeleteObjectsOutput {
        deleted: Some(deleted.map(|key| DeletedObject { key: Some(key), ..Default::default() }).collect()),
        errors: Some(refused_keys),
        ..Default::default()
    })
}

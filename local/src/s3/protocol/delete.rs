//! `DeleteObject` and `DeleteObjects`.

use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, Error,
    ObjectIdentifier,
};
use s3s::{S3Error, S3Request, S3Result, s3_error};

use super::condition::precondition;
use super::error_mapper::ErrorMapper;
use super::operations::Operations;
use super::versions::requested_version;
use crate::s3::object::check_key;
use crate::s3::version::Deleted;

/// The largest number of keys in one request.
const MAX_KEYS: usize = 1000;

pub(super) async fn object(
    operations: &Operations,
    request: S3Request<DeleteObjectInput>,
    errors: ErrorMapper,
) -> S3Result<DeleteObjectOutput> {
    let input = request.input;
    let version_id = requested_version(input.version_id.as_deref())?;
    if input.if_match_size.is_some() || input.if_match_last_modified_time.is_some() {
        return Err(s3_error!(NotImplemented, "a delete can be conditional on the entity tag only"));
    }
    let precondition = precondition(input.if_match, None)?;
    let store = &operations.store;
    let deleted = match version_id {
        Some(id) => store.delete_version(&input.bucket, &input.key, id, precondition).await,
        None => store.delete(&input.bucket, &input.key, precondition).await,
    };
    let deleted = deleted.map_err(|error| errors.to_s3(error))?;
    Ok(DeleteObjectOutput {
        delete_marker: deleted.delete_marker.then_some(true),
        version_id: deleted.version_id,
        ..Default::default()
    })
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
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    for object in input.delete.objects {
        match check(&object, &errors) {
            Ok(()) => accepted.push((object.key, object.version_id)),
            Err(error) => refused.push(refusal(&error, object.key, object.version_id)),
        }
    }
    let results = operations.store.delete_many(&input.bucket, accepted.clone()).await;
    let results = results.map_err(|error| errors.to_s3(error))?;
    let mut deleted = Vec::new();
    for ((key, version_id), result) in accepted.into_iter().zip(results) {
        match result {
            Ok(result) => deleted.push(deleted_object(key, version_id, result)),
            Err(error) => refused.push(refusal(&errors.to_s3(error), key, version_id)),
        }
    }
    if input.delete.quiet.unwrap_or(false) {
        deleted.clear();
    }
    Ok(DeleteObjectsOutput { deleted: Some(deleted), errors: Some(refused), ..Default::default() })
}

/// Checks an entry of a list.
fn check(object: &ObjectIdentifier, errors: &ErrorMapper) -> S3Result<()> {
    if object.e_tag.is_some() || object.size.is_some() || object.last_modified_time.is_some() {
        return Err(s3_error!(NotImplemented, "the objects of a list cannot be deleted conditionally"));
    }
    requested_version(object.version_id.as_deref())?;
    check_key(&object.key).map_err(|error| errors.to_s3(error))
}

fn refusal(error: &S3Error, key: String, version_id: Option<String>) -> Error {
    Error {
        code: Some(error.code().as_str().to_owned()),
        message: error.message().map(str::to_owned),
        key: Some(key),
        version_id,
    }
}

/// An entry of the response: `version_id` is the version that was requested, the delete marker the one that was added or
/// removed.
fn deleted_object(key: String, version_id: Option<String>, deleted: Deleted) -> DeletedObject {
    DeletedObject {
        key: Some(key),
        version_id: deleted.version_id.clone().and(version_id),
        delete_marker: deleted.delete_marker.then_some(true),
        delete_marker_version_id: deleted.version_id.filter(|_| deleted.delete_marker),
    }
}

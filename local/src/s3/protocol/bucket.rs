//! Operations on buckets.

use s3s::dto::{
    Bucket, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput, GetBucketLocationInput,
    GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput, ListBucketsOutput,
};
use s3s::{S3Request, S3Result};

use super::error_mapper::ErrorMapper;
use super::operations::Operations;
use crate::s3::error::StoreError;
use crate::s3::store::Watch;

/// The region that S3 omits from a bucket's location.
const UNNAMED_REGION: &str = "us-east-1";

pub(super) async fn create(
    operations: &Operations,
    request: S3Request<CreateBucketInput>,
    errors: ErrorMapper,
) -> S3Result<CreateBucketOutput> {
    let bucket = request.input.bucket;
    operations.store.create_bucket(&bucket, Watch::Off).await.map_err(|error| errors.to_s3(error))?;
    Ok(CreateBucketOutput { location: Some(format!("/{bucket}")) })
}

pub(super) async fn head(
    operations: &Operations,
    request: S3Request<HeadBucketInput>,
    errors: ErrorMapper,
) -> S3Result<HeadBucketOutput> {
    require_bucket(operations, &request.input.bucket, &errors).await?;
    Ok(HeadBucketOutput { bucket_region: Some(operations.region.clone()), ..Default::default() })
}

pub(super) async fn location(
    operations: &Operations,
    request: S3Request<GetBucketLocationInput>,
    errors: ErrorMapper,
) -> S3Result<GetBucketLocationOutput> {
    require_bucket(operations, &request.input.bucket, &errors).await?;
    let named = (operations.region != UNNAMED_REGION).then(|| operations.region.clone());
    Ok(GetBucketLocationOutput { location_constraint: named.map(BucketLocationConstraint::from) })
}

pub(super) async fn list(
    operations: &Operations,
    request: S3Request<ListBucketsInput>,
    errors: ErrorMapper,
) -> S3Result<ListBucketsOutput> {
    let prefix = request.input.prefix.unwrap_or_default();
    let buckets = operations.store.buckets().await.map_err(|error| errors.to_s3(error))?;
    let buckets = buckets.into_iter().filter(|bucket| bucket.name.starts_with(&prefix));
    let buckets = buckets.map(|bucket| Bucket {
        name: Some(bucket.name),
        creation_date: Some(bucket.created_at.into()),
        bucket_region: Some(operations.region.clone()),
    });
    Ok(ListBucketsOutput { buckets: Some(buckets.collect()), ..Default::default() })
}

async fn require_bucket(operations: &Operations, bucket: &str, errors: &ErrorMapper) -> S3Result<()> {
    let to_s3 = |error| errors.to_s3(error);
    match operations.store.bucket(bucket).await.map_err(to_s3)? {
        Some(_) => Ok(()),
        None => Err(to_s3(StoreError::NoSuchBucket { bucket: bucket.to_owned() })),
    }
}

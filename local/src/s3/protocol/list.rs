//! `ListObjectsV2`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    ChecksumAlgorithm, ChecksumType, CommonPrefix, ETag, EncodingType, ListObjectsV2Input,
    ListObjectsV2Output, Object, ObjectStorageClass,
};
use s3s::{S3Request, S3Result, s3_error};

use super::error_mapper::ErrorMapper;
use super::operations::Operations;
use crate::s3::store::ListRequest;

/// The largest page size.
pub(super) const MAX_PAGE: i32 = 1000;

/// The characters that `encoding-type=url` percent-encodes.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

pub(super) async fn objects(
    operations: &Operations,
    request: S3Request<ListObjectsV2Input>,
    errors: ErrorMapper,
) -> S3Result<ListObjectsV2Output> {
    let input = request.input;
    let limit = page_size(input.max_keys)?;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let token = input.continuation_token.as_deref().map(decode_token).transpose()?;
    let list = ListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone().filter(|delimiter| !delimiter.is_empty()),
        after: token.or_else(|| input.start_after.clone()),
        limit: usize::try_from(limit).unwrap_or_default(),
    };
    let listing = operations.store.list(&input.bucket, list).await.map_err(|error| errors.to_s3(error))?;
    let contents: Vec<Object> = listing
        .objects
        .into_iter()
        .map(|meta| Object {
            key: Some(encoding.apply(&meta.key)),
            e_tag: Some(ETag::Strong(meta.etag)),
            size: i64::try_from(meta.size).ok(),
            last_modified: Some(meta.last_modified.into()),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            checksum_algorithm: meta
                .checksum
                .as_ref()
                .map(|checksum| vec![ChecksumAlgorithm::from_static(checksum.algorithm.name())]),
            checksum_type: meta.checksum.map(|checksum| ChecksumType::from_static(checksum.kind.name())),
            ..Default::default()
        })
        .collect();
    let common_prefixes: Vec<CommonPrefix> = listing
        .common_prefixes
        .iter()
        .map(|prefix| CommonPrefix { prefix: Some(encoding.apply(prefix)) })
        .collect();
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encoding.apply(&input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|delimiter| encoding.apply(&delimiter)),
        start_after: input.start_after.map(|after| encoding.apply(&after)),
        max_keys: Some(limit),
        key_count: i32::try_from(contents.len() + common_prefixes.len()).ok(),
        is_truncated: Some(listing.next.is_some()),
        continuation_token: input.continuation_token,
        next_continuation_token: listing.next.map(|next| URL_SAFE_NO_PAD.encode(next)),
        contents: Some(contents),
        common_prefixes: Some(common_prefixes),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}

/// The page size: the requested one, at most [`MAX_PAGE`].
pub(super) fn page_size(requested: Option<i32>) -> S3Result<i32> {
    match requested {
        None => Ok(MAX_PAGE),
        Some(negative) if negative < 0 => {
            Err(s3_error!(InvalidArgument, "the page size must not be negative"))
        }
        Some(requested) => Ok(requested.min(MAX_PAGE)),
    }
}

fn decode_token(token: &str) -> S3Result<String> {
    let decoded = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or_else(|| s3_error!(InvalidArgument, "the continuation token was not issued by this server"))
}

/// The encoding of keys in a response: XML cannot represent all characters that a key can have.
pub(super) struct Encoding {
    url: bool,
}

impl Encoding {
    pub(super) fn of(requested: Option<&EncodingType>) -> S3Result<Self> {
        match requested.map(EncodingType::as_str) {
            None => Ok(Self { url: false }),
            Some(EncodingType::URL) => Ok(Self { url: true }),
            Some(_) => Err(s3_error!(InvalidArgument, "the encoding type must be url")),
        }
    }

    pub(super) fn apply(&self, text: &str) -> String {
        if self.url { utf8_percent_encode(text, ENCODED).to_string() } else { text.to_owned() }
    }
}

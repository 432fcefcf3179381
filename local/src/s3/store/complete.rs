//! Completing a multipart upload: the blobs of its parts become the object's segments, uncopied.

use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use rusqlite::{Connection, OptionalExtension as _};

use super::Store;
use super::blobs::BlobId;
use super::multipart::{Part, end_upload, find_upload, stored_parts};
use super::read::{META, meta};
use super::row::require_bucket;
use super::transaction::NewObject;
use crate::s3::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind, of_parts};
use crate::s3::error::StoreError;
use crate::s3::notice::CreatedBy;
use crate::s3::object::{ObjectMeta, Precondition};

/// A part as the completing client lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompletedPart {
    /// Its number.
    pub number: u32,
    /// The entity tag (without quotes) that uploading it answered.
    pub etag: String,
    /// Checksums given for it, each in base64: compared when the part has one of that algorithm.
    pub checksums: Vec<(ChecksumAlgorithm, String)>,
}

impl Store {
    /// Makes an object of the listed parts, drops the others and ends the upload. `announced_size` and
    /// `announced_checksum` are what the client says the object has, if it does. Completing again, after an answer
    /// was lost, succeeds as long as the object is the one that this upload became.
    ///
    /// # Errors
    /// [`StoreError::NoParts`], [`StoreError::InvalidPartOrder`], [`StoreError::InvalidPart`],
    /// [`StoreError::PartTooSmall`], [`StoreError::SizeMismatch`], [`StoreError::DigestMismatch`],
    /// [`StoreError::NoSuchUpload`] and those of [`Precondition::check`]; internal errors. The upload is then as it
    /// was.
    #[expect(clippy::too_many_arguments, reason = "the parameters of the protocol's call")]
    pub async fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        listed: Vec<CompletedPart>,
        announced_size: Option<u64>,
        announced_checksum: Option<(ChecksumAlgorithm, String)>,
        precondition: Precondition,
    ) -> Result<ObjectMeta, StoreError> {
        if listed.is_empty() {
            return Err(StoreError::NoParts);
        }
        if !listed.is_sorted_by(|one, other| one.number < other.number) {
            return Err(StoreError::InvalidPartOrder);
        }
        let minimum = self.options().minimum_part_size;
        let (bucket, key, upload) = (bucket.to_owned(), key.to_owned(), upload.to_owned());
        self.write(move |transaction| {
            require_bucket(transaction.db(), &bucket)?;
            let found = match find_upload(transaction.db(), &bucket, &key, &upload) {
                Err(error @ StoreError::NoSuchUpload { .. }) => {
                    return completed_before(transaction.db(), &bucket, &key, &upload)?.ok_or(error);
                }
                found => found?,
            };
            let parts = chosen(stored_parts(transaction.db(), &upload, 0, u32::MAX)?, &listed, minimum)?;
            let size: u64 = parts.iter().map(|(part, _)| part.size).sum();
            if let Some(announced) = announced_size.filter(|announced| *announced != size) {
                return Err(StoreError::SizeMismatch { announced, found: size });
            }
            let checksum =
                found.checksum.and_then(|(algorithm, kind)| object_checksum(algorithm, kind, &parts));
            if let (Some((algorithm, value)), Some(checksum)) = (&announced_checksum, &checksum)
                && *algorithm == checksum.algorithm
                && *value != checksum.value
            {
                return Err(StoreError::DigestMismatch { name: algorithm.header() });
            }
            let object = NewObject {
                bucket: &bucket,
                key: &key,
                etag: multipart_etag(&parts),
                headers: found.headers,
                checksum,
                parts: u32::try_from(parts.len()).ok(),
                upload: Some(&upload),
                segments: parts.iter().map(|(part, blob)| (*blob, part.size)).collect(),
                created_by: CreatedBy::CompleteMultipartUpload,
            };
            let meta = transaction.replace(object, &precondition)?;
            end_upload(transaction, &upload)?;
            Ok(meta)
        })
        .await
    }
}

/// The stored parts that the client lists, if they are what it says.
fn chosen(
    stored: Vec<(Part, BlobId)>,
    listed: &[CompletedPart],
    minimum: u64,
) -> Result<Vec<(Part, BlobId)>, StoreError> {
    let mut stored = stored.into_iter();
    let mut parts = Vec::with_capacity(listed.len());
    for (index, wanted) in listed.iter().enumerate() {
        let invalid = |reason| StoreError::InvalidPart { number: wanted.number, reason };
        // Both are in ascending order.
        let (part, blob) = stored
            .find(|(part, _)| part.number >= wanted.number)
            .filter(|(part, _)| part.number == wanted.number)
            .ok_or_else(|| invalid("was not uploaded"))?;
        if part.etag != wanted.etag {
            return Err(invalid("was uploaded with another entity tag"));
        }
        let differs = |(algorithm, value): &(ChecksumAlgorithm, String)| {
            part.checksum.as_ref().is_some_and(|(stored, found)| stored == algorithm && found != value)
        };
        if wanted.checksums.iter().any(differs) {
            return Err(invalid("was uploaded with another checksum"));
        }
        if part.size < minimum && index + 1 < listed.len() {
            return Err(StoreError::PartTooSmall { number: part.number, size: part.size, minimum });
        }
        parts.push((part, blob));
    }
    Ok(parts)
}

/// `md5(md5s)-n`, as S3 computes it.
fn multipart_etag(parts: &[(Part, BlobId)]) -> String {
    let mut md5 = Md5::new();
    for (part, _) in parts {
        // Entity tags of parts are ours: the MD5 in hex.
        md5.update(HEXLOWER.decode(part.etag.as_bytes()).unwrap_or_default());
    }
    format!("{}-{}", HEXLOWER.encode(&md5.finalize()), parts.len())
}

fn object_checksum(
    algorithm: ChecksumAlgorithm,
    kind: ChecksumKind,
    parts: &[(Part, BlobId)],
) -> Option<Checksum> {
    let values = parts.iter().map(|(part, _)| {
        let value = part.checksum.as_ref().filter(|(stored, _)| *stored == algorithm);
        (value.map(|(_, value)| value.as_str()), part.size)
    });
    of_parts(algorithm, kind, values)
}

/// The object that an upload has become, if it is still there.
fn completed_before(
    db: &Connection,
    bucket: &str,
    key: &str,
    upload: &str,
) -> Result<Option<ObjectMeta>, StoreError> {
    let sql = format!("SELECT {META} FROM objects WHERE bucket = ?1 AND key = ?2 AND upload = ?3");
    let found = db.prepare_cached(&sql)?.query_row([bucket, key, upload], |row| Ok(meta(row))).optional()?;
    Ok(found.transpose()?.map(|(_, meta)| meta))
}

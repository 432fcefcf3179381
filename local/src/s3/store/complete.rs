//! Completing a multipart upload: the blobs of its parts become the object's segments, without copying.

use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};
use rusqlite::{Connection, OptionalExtension as _};

use super::blobs::BlobId;
use super::handle::Store;
use super::multipart::{Part, end_upload, find_upload, stored_parts};
use super::object_rows::{OBJECT_COLUMNS, object_of_row};
use super::row::require_bucket;
use super::transaction::NewObject;
use crate::s3::checksum::{Checksum, ChecksumAlgorithm, ChecksumKind, of_parts};
use crate::s3::error::StoreError;
use crate::s3::event_notification::CreatedBy;
use crate::s3::object::{ObjectMeta, Precondition};

/// A part in the list that a client sends to complete an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompletedPart {
    /// The part number.
    pub number: u32,
    /// The entity tag, without quotes, that uploading the part returned.
    pub etag: String,
    /// Checksums in base64. Each is compared if the part has a checksum of that algorithm.
    pub checksums: Vec<(ChecksumAlgorithm, String)>,
}

impl Store {
    /// Creates an object from the listed parts, removes the other parts and ends the upload. `declared_size` and
    /// `declared_checksum` are the client's values for the object, if it sent any. A retry after a lost response
    /// succeeds while the object, or the version, that this upload created exists.
    ///
    /// # Errors
    /// [`StoreError::NoParts`], [`StoreError::InvalidPartOrder`], [`StoreError::InvalidPart`],
    /// [`StoreError::PartTooSmall`], [`StoreError::SizeMismatch`], [`StoreError::DigestMismatch`],
    /// [`StoreError::NoSuchUpload`] and those of [`Precondition::check`]; internal errors. After an error the
    /// upload is unchanged.
    #[expect(clippy::too_many_arguments, reason = "the parameters of the protocol's call")]
    pub async fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        upload: &str,
        listed: Vec<CompletedPart>,
        declared_size: Option<u64>,
        declared_checksum: Option<(ChecksumAlgorithm, String)>,
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
                    return object_of_upload(transaction.db(), &bucket, &key, &upload)?.ok_or(error);
                }
                found => found?,
            };
            let parts = listed_parts(
                stored_parts(transaction.db(), &upload, 0, u32::MAX)?,
                &upload,
                &listed,
                minimum,
            )?;
            let size: u64 = parts.iter().map(|(part, _)| part.size).sum();
            if let Some(declared) = declared_size.filter(|declared| *declared != size) {
                return Err(StoreError::SizeMismatch { declared, found: size });
            }
            let checksum =
                found.checksum.and_then(|(algorithm, kind)| object_checksum(algorithm, kind, &parts));
            if let (Some((algorithm, value)), Some(checksum)) = (&declared_checksum, &checksum)
                && *algorithm == checksum.algorithm
                && *value != checksum.value
            {
                return Err(StoreError::DigestMismatch {
                    name: algorithm.header(),
                    expected: value.clone(),
                    calculated: checksum.value.clone(),
                });
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

/// The stored parts that the client lists, in its order. Checks entity tags, checksums and sizes.
fn listed_parts(
    stored: Vec<(Part, BlobId)>,
    upload: &str,
    listed: &[CompletedPart],
    minimum: u64,
) -> Result<Vec<(Part, BlobId)>, StoreError> {
    let mut stored = stored.into_iter();
    let mut parts = Vec::with_capacity(listed.len());
    for (index, listed_part) in listed.iter().enumerate() {
        let invalid = |reason| StoreError::InvalidPart {
            upload_id: upload.to_owned(),
            number: listed_part.number,
            etag: listed_part.etag.clone(),
            reason,
        };
        // Both lists are in ascending order.
        let (part, blob) = stored
            .find(|(part, _)| part.number >= listed_part.number)
            .filter(|(part, _)| part.number == listed_part.number)
            .ok_or_else(|| invalid("was not uploaded"))?;
        if part.etag != listed_part.etag {
            return Err(invalid("was uploaded with another entity tag"));
        }
        let differs = |(algorithm, value): &(ChecksumAlgorithm, String)| {
            part.checksum.as_ref().is_some_and(|(stored, found)| stored == algorithm && found != value)
        };
        if listed_part.checksums.iter().any(differs) {
            return Err(invalid("was uploaded with another checksum"));
        }
        if part.size < minimum && index + 1 < listed.len() {
            return Err(StoreError::PartTooSmall {
                number: part.number,
                size: part.size,
                minimum,
                etag: part.etag,
            });
        }
        parts.push((part, blob));
    }
    Ok(parts)
}

/// `md5(md5s)-n`, as S3 computes it.
fn multipart_etag(parts: &[(Part, BlobId)]) -> String {
    let mut md5 = Md5::new();
    for (part, _) in parts {
        // The entity tag of a part is always the MD5 in hex.
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

/// The object that was created from an upload, if it still exists.
fn object_of_upload(
    db: &Connection,
    bucket: &str,
    key: &str,
    upload: &str,
) -> Result<Option<ObjectMeta>, StoreError> {
    let sql = format!("SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ?1 AND key = ?2 AND upload = ?3");
    let found =
        db.prepare_cached(&sql)?.query_row([bucket, key, upload], |row| Ok(object_of_row(row))).optional()?;
    Ok(found.transpose()?.map(|(_, meta)| meta))
}

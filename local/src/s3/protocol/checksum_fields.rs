//! The protocol's checksum fields, one per algorithm.

use crate::s3::checksum::{Checksum, ChecksumAlgorithm};

/// The checksum fields of a request or response.
#[derive(Default)]
pub(super) struct ChecksumFields {
    pub(super) crc32: Option<String>,
    pub(super) crc32c: Option<String>,
    pub(super) crc64nvme: Option<String>,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
}

impl ChecksumFields {
    /// Fields of which at most one is set.
    pub(super) fn of(checksum: Option<(ChecksumAlgorithm, String)>) -> Self {
        let mut fields = Self::default();
        let Some((algorithm, value)) = checksum else { return fields };
        *fields.field(algorithm) = Some(value);
        fields
    }

    /// The fields for an object's checksum.
    pub(super) fn of_object(checksum: Option<&Checksum>) -> Self {
        Self::of(checksum.map(|checksum| (checksum.algorithm, checksum.value.clone())))
    }

    /// The fields that are set.
    pub(super) fn into_list(mut self) -> Vec<(ChecksumAlgorithm, String)> {
        let take_field = |algorithm| Some((algorithm, self.field(algorithm).take()?));
        ChecksumAlgorithm::ALL.into_iter().filter_map(take_field).collect()
    }

    fn field(&mut self, algorithm: ChecksumAlgorithm) -> &mut Option<String> {
        match algorithm {
            ChecksumAlgorithm::Crc32 => &mut self.crc32,
            ChecksumAlgorithm::Crc32c => &mut self.crc32c,
            ChecksumAlgorithm::Crc64Nvme => &mut self.crc64nvme,
            ChecksumAlgorithm::Sha1 => &mut self.sha1,
            ChecksumAlgorithm::Sha256 => &mut self.sha256,
        }
    }
}

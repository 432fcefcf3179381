//! A checksum among the fields that the protocol has, one for each algorithm.

use crate::s3::checksum::{Checksum, ChecksumAlgorithm};

/// The value of at most one algorithm.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) crc32: Option<String>,
    pub(super) crc32c: Option<String>,
    pub(super) crc64nvme: Option<String>,
    pub(super) sha1: Option<String>,
    pub(super) sha256: Option<String>,
}

impl Sums {
    /// Puts a value into its algorithm's field.
    pub(super) fn of(checksum: Option<(ChecksumAlgorithm, String)>) -> Self {
        let mut sums = Self::default();
        let Some((algorithm, value)) = checksum else { return sums };
        *sums.field(algorithm) = Some(value);
        sums
    }

    /// Puts an object's checksum into its algorithm's field.
    pub(super) fn of_object(checksum: Option<&Checksum>) -> Self {
        Self::of(checksum.map(|checksum| (checksum.algorithm, checksum.value.clone())))
    }

    /// The values given.
    pub(super) fn into_list(mut self) -> Vec<(ChecksumAlgorithm, String)> {
        let taken = |algorithm| Some((algorithm, self.field(algorithm).take()?));
        ChecksumAlgorithm::ALL.into_iter().filter_map(taken).collect()
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

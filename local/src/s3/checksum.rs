//! The additional checksums of S3:
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>.
//!
//! An upload has at most one of them, in addition to the MD5 that becomes the entity tag.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, checksum_combine};
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use serde::{Deserialize, Serialize};

/// A checksum algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChecksumAlgorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl ChecksumAlgorithm {
    /// All algorithms, in S3's order.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The value of `x-amz-checksum-algorithm`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The name of the header or trailer with the checksum.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Parses a name such as `CRC32`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The length of a checksum in bytes, before base64.
    pub fn bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The CRC algorithm, by which the checksums of parts can be combined into that of the object; `None` for hashes.
    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    /// The kind of a multipart upload that names none.
    pub fn default_kind(self) -> ChecksumKind {
        if self == Self::Crc64Nvme { ChecksumKind::FullObject } else { ChecksumKind::Composite }
    }

    /// Whether a multipart upload can use this algorithm with the given kind.
    pub fn allows(self, kind: ChecksumKind) -> bool {
        match kind {
            ChecksumKind::FullObject => self.crc().is_some(),
            ChecksumKind::Composite => self != Self::Crc64Nvme,
        }
    }
}

/// What a checksum is computed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChecksumKind {
    /// The object's bytes.
    FullObject,
    /// The concatenated checksums of the object's n parts; the value ends in `-n`.
    Composite,
}

impl ChecksumKind {
    /// The value of `x-amz-checksum-type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// Parses a name such as `COMPOSITE`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::FullObject, Self::Composite].into_iter().find(|kind| kind.name() == name)
    }
}

/// A verified checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// The algorithm.
    pub algorithm: ChecksumAlgorithm,
    /// What it is computed over.
    pub kind: ChecksumKind,
    /// The checksum in base64; for a composite of n parts followed by `-n`.
    pub value: String,
}

/// Decodes the base64 value of a checksum header; `None` if it is not base64 or has the wrong length.
pub fn decode(algorithm: ChecksumAlgorithm, value: &str) -> Option<Vec<u8>> {
    STANDARD.decode(value).ok().filter(|bytes| bytes.len() == algorithm.bytes())
}

/// Computes the checksum of an object from the checksums and sizes (in bytes) of its parts, in order.
/// `None` when a part has no checksum or the algorithm does not support the kind.
pub fn of_parts<'a>(
    algorithm: ChecksumAlgorithm,
    kind: ChecksumKind,
    parts: impl IntoIterator<Item = (Option<&'a str>, u64)>,
) -> Option<Checksum> {
    let mut count = 0_usize;
    let mut concatenated = Hasher::new(algorithm);
    let mut combined: Option<u64> = None;
    for (value, size) in parts {
        let bytes = decode(algorithm, value?)?;
        count += 1;
        concatenated.update(&bytes);
        let number = bytes.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        combined = Some(match (combined, algorithm.crc()) {
            (Some(before), Some(crc)) => checksum_combine(crc, before, number, size),
            _ => number,
        });
    }
    let value = match kind {
        ChecksumKind::Composite => format!("{}-{count}", concatenated.finish()),
        ChecksumKind::FullObject => {
            algorithm.crc()?;
            let bytes = combined?.to_be_bytes();
            STANDARD.encode(&bytes[8 - algorithm.bytes()..])
        }
    };
    Some(Checksum { algorithm, kind, value })
}

/// Computes a checksum incrementally.
pub(crate) enum Hasher {
    Crc32(Crc32),
    Crc32c(Crc32c),
    Crc64Nvme(Crc64Nvme),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    pub(crate) fn new(algorithm: ChecksumAlgorithm) -> Self {
        match algorithm {
            ChecksumAlgorithm::Crc32 => Self::Crc32(Crc32::new()),
            ChecksumAlgorithm::Crc32c => Self::Crc32c(Crc32c::new()),
            ChecksumAlgorithm::Crc64Nvme => Self::Crc64Nvme(Crc64Nvme::new()),
            ChecksumAlgorithm::Sha1 => Self::Sha1(Sha1::new()),
            ChecksumAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
        }
    }

    pub(crate) fn update(&mut self, data: &[u8]) {
        match self {
            Self::Crc32(hasher) => hasher.update(data),
            Self::Crc32c(hasher) => hasher.update(data),
            Self::Crc64Nvme(hasher) => hasher.update(data),
            Self::Sha1(hasher) => hasher.update(data),
            Self::Sha256(hasher) => hasher.update(data),
        }
    }

    /// The checksum in base64.
    pub(crate) fn finish(self) -> String {
        match self {
            Self::Crc32(hasher) => STANDARD.encode(hasher.finalize()),
            Self::Crc32c(hasher) => STANDARD.encode(hasher.finalize()),
            Self::Crc64Nvme(hasher) => STANDARD.encode(hasher.finalize()),
            Self::Sha1(hasher) => STANDARD.encode(hasher.finalize()),
            Self::Sha256(hasher) => STANDARD.encode(hasher.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checksum_of(algorithm: ChecksumAlgorithm, data: &[u8]) -> String {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(data);
        hasher.finish()
    }

    // Check values of the CRC catalogue (https://reveng.sourceforge.io/crc-catalogue/all.htm) over "123456789",
    // and of FIPS 180 over "abc".
    #[test]
    fn published_check_values_are_computed() {
        let hex = |text: &str| STANDARD.encode(data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap());
        assert_eq!(checksum_of(ChecksumAlgorithm::Crc32, b"123456789"), hex("cbf43926"));
        assert_eq!(checksum_of(ChecksumAlgorithm::Crc32c, b"123456789"), hex("e3069283"));
        assert_eq!(checksum_of(ChecksumAlgorithm::Crc64Nvme, b"123456789"), hex("ae8b14860a799888"));
        assert_eq!(
            checksum_of(ChecksumAlgorithm::Sha1, b"abc"),
            hex("a9993e364706816aba3e25717850c26c9cd0d89d")
        );
        assert_eq!(
            checksum_of(ChecksumAlgorithm::Sha256, b"abc"),
            hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        );
    }

    #[test]
    fn a_composite_is_the_checksum_of_the_parts_checksums() {
        let parts =
            [checksum_of(ChecksumAlgorithm::Sha256, b"one"), checksum_of(ChecksumAlgorithm::Sha256, b"two")];
        let composite = of_parts(
            ChecksumAlgorithm::Sha256,
            ChecksumKind::Composite,
            parts.iter().map(|value| (Some(value.as_str()), 3)),
        )
        .unwrap();
        let concatenated: Vec<u8> = parts.iter().flat_map(|value| STANDARD.decode(value).unwrap()).collect();
        assert_eq!(composite.value, format!("{}-2", checksum_of(ChecksumAlgorithm::Sha256, &concatenated)));
    }

    #[test]
    fn a_missing_part_checksum_or_an_unsupported_kind_returns_none() {
        let value = checksum_of(ChecksumAlgorithm::Sha256, b"one");
        let parts = [(Some(value.as_str()), 3), (None, 3)];
        assert_eq!(of_parts(ChecksumAlgorithm::Sha256, ChecksumKind::Composite, parts), None);
        let parts = [(Some(value.as_str()), 3)];
        assert_eq!(of_parts(ChecksumAlgorithm::Sha256, ChecksumKind::FullObject, parts), None);
    }

    proptest! {
        #[test]
        fn combined_crcs_of_parts_equal_the_crc_of_the_whole(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..6)
        ) {
            for algorithm in [ChecksumAlgorithm::Crc32, ChecksumAlgorithm::Crc32c, ChecksumAlgorithm::Crc64Nvme] {
                let values: Vec<String> = parts.iter().map(|part| checksum_of(algorithm, part)).collect();
                let combined = of_parts(
                    algorithm,
                    ChecksumKind::FullObject,
                    values.iter().zip(&parts).map(|(value, part)| (Some(value.as_str()), part.len() as u64)),
                );
                prop_assert_eq!(combined.unwrap().value, checksum_of(algorithm, &parts.concat()));
            }
        }
    }
}

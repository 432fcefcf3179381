//! The additional checksums of S3: their values in headers, and those of objects in parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use streamio_local::s3::checksum::{ChecksumAlgorithm, ChecksumKind, decode, of_parts};

use crate::text;

/// An accepted value is base64 in its only spelling. The CRC-32 of an object is combined from those of its parts, as another
/// implementation computes it over the bytes. The first line is a value, the second one has the lengths of two parts.
pub fn check(data: &[u8]) {
    let ([value, lengths], object) = text::lines(data);
    if let Some(value) = text::of(value) {
        for algorithm in ChecksumAlgorithm::ALL {
            assert_eq!(
                ChecksumAlgorithm::from_name(value).is_some_and(|found| found == algorithm),
                value == algorithm.name()
            );
            if let Some(bytes) = decode(algorithm, value) {
                assert_eq!((STANDARD.encode(&bytes).as_str(), bytes.len()), (value, algorithm.bytes()));
            }
        }
    }
    let cut = |at: usize| usize::from(lengths.get(at).copied().unwrap_or_default()).min(object.len());
    let (first, second) = (cut(0).min(cut(1)), cut(0).max(cut(1)));
    let parts = [&object[..first], &object[first..second], &object[second..]];
    let values = parts.map(|part| STANDARD.encode(crc32fast::hash(part).to_be_bytes()));
    let listed = || values.iter().zip(parts).map(|(value, part)| (Some(value.as_str()), part.len() as u64));
    let whole =
        of_parts(ChecksumAlgorithm::Crc32, ChecksumKind::FullObject, listed()).expect("each part has one");
    assert_eq!(whole.value, STANDARD.encode(crc32fast::hash(object).to_be_bytes()));
    let composite =
        of_parts(ChecksumAlgorithm::Crc32, ChecksumKind::Composite, listed()).expect("each part has one");
    assert!(composite.value.ends_with("-3"));
}

//! The sizes of uploads and of their parts.

// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>
/// The largest body of one PUT: 5 GiB.
pub(super) const MAX_PUT_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// The least size of a part, except for the last.
const MIN_PART_BYTES: u64 = 16 * 1024 * 1024;
/// The most parts: with one URL each, a response has about 1 MB. S3 allows 10,000.
const MAX_PARTS: u64 = 2_000;

/// The size of all parts except the last.
pub(super) fn part_size(size: u64) -> u64 {
    size.div_ceil(MAX_PARTS).max(MIN_PART_BYTES)
}

/// The parts of a file: their numbers, from 1, and sizes. An empty file is one empty part.
pub(super) fn parts(size: u64) -> impl Iterator<Item = (u16, u64)> {
    let part_size = part_size(size);
    let starts = (0..size.max(1)).step_by(usize::try_from(part_size).expect("a part has less than 4 GiB"));
    (1..).zip(starts).map(move |(number, start)| (number, part_size.min(size - start)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MAX_OBJECT_BYTES;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_parts_of_a_file_cover_it_within_the_limits_of_s3(
            size in prop_oneof![0..=MAX_OBJECT_BYTES, 0..=3 * MIN_PART_BYTES, Just(MAX_OBJECT_BYTES), Just(MAX_PUT_BYTES)],
        ) {
            let parts: Vec<(u16, u64)> = parts(size).collect();
            prop_assert_eq!(parts.iter().map(|(_, size)| size).sum::<u64>(), size);
            prop_assert!((1..=2_000).contains(&parts.len()));
            prop_assert!(parts.iter().map(|(number, _)| *number).eq(1..=u16::try_from(parts.len()).unwrap()));
            let (last, others) = parts.split_last().unwrap();
            prop_assert!(others.iter().all(|(_, bytes)| *bytes == part_size(size)));
            prop_assert!(last.1 <= part_size(size) && part_size(size) <= MAX_PUT_BYTES);
            prop_assert!(size == 0 || last.1 > 0);
        }
    }
}

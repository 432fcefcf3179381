//! Bit rates measured over the segments.

/// The bit rates of a rendition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bandwidth {
    /// Peak segment bit rate in bit/s: the highest rate of any run of consecutive segments that lasts between 0.5 and 1.5
    /// times the target duration (RFC 8216, section 4.1).
    pub peak: u64,
    /// Average bit rate in bit/s.
    pub average: u64,
}

impl Bandwidth {
    /// Measures `segments`, each given as bytes and seconds.
    pub fn measure(segments: &[(u64, f64)], target_duration: u64) -> Self {
        let average = rate(segments);
        #[allow(clippy::cast_precision_loss, reason = "a few seconds")]
        let target = target_duration as f64;
        let mut peak = 0;
        for start in 0..segments.len() {
            for end in start + 1..=segments.len() {
                let run = &segments[start..end];
                let duration: f64 = run.iter().map(|(_, seconds)| seconds).sum();
                if duration > target * 1.5 {
                    break;
                }
                if duration >= target * 0.5 {
                    peak = peak.max(rate(run));
                }
            }
        }
        // The whole rendition may be shorter than half the target duration.
        Self { peak: peak.max(average), average }
    }

    /// The sum, for two renditions played together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self { peak: self.peak + other.peak, average: self.average + other.average }
    }

    /// The maximum of each rate, for alternative renditions.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { peak: self.peak.max(other.peak), average: self.average.max(other.average) }
    }
}

fn rate(segments: &[(u64, f64)]) -> u64 {
    let bytes: u64 = segments.iter().map(|(bytes, _)| bytes).sum();
    let seconds: f64 = segments.iter().map(|(_, seconds)| seconds).sum();
    if seconds <= 0.0 {
        return 0;
    }
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; 2^53 bits are a petabyte"
    )]
    let bits_per_second = (bytes as f64 * 8.0 / seconds).ceil() as u64;
    bits_per_second
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_last_segment_alone_is_not_the_peak() {
        // The last 0.1 s alone would be 8 Mbit/s, but no player has to fetch it in 0.1 s.
        let measured = Bandwidth::measure(&[(500_000, 4.0), (500_000, 4.0), (100_000, 0.1)], 4);
        assert_eq!(measured, Bandwidth { peak: 1_170_732, average: 1_086_420 });
    }

    #[test]
    fn a_clip_shorter_than_half_a_segment_has_its_average() {
        assert_eq!(Bandwidth::measure(&[(1000, 0.4)], 4), Bandwidth { peak: 20_000, average: 20_000 });
        assert_eq!(Bandwidth::measure(&[], 4), Bandwidth::default());
    }

    proptest! {
        #[test]
        fn the_peak_is_no_lower_than_the_average_nor_than_any_full_segment(
            segments in prop::collection::vec((1u64..10_000_000, 2.0..4.0), 1..40),
        ) {
            let measured = Bandwidth::measure(&segments, 4);
            prop_assert!(measured.peak >= measured.average);
            for segment in &segments {
                prop_assert!(measured.peak >= rate(&[*segment]));
            }
        }

        #[test]
        fn larger_segments_never_lower_the_rates(
            segments in prop::collection::vec((1u64..10_000_000, 0.1..4.0), 1..40), more in 0u64..1_000_000,
        ) {
            let larger: Vec<_> = segments.iter().map(|(bytes, seconds)| (bytes + more, *seconds)).collect();
            let (small, large) = (Bandwidth::measure(&segments, 4), Bandwidth::measure(&larger, 4));
            prop_assert!(large.peak >= small.peak && large.average >= small.average);
        }
    }
}

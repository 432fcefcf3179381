//! Long gaps between the packets of a track.

/// A gap, in seconds from the beginning of the file.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Gap {
    /// Where sound or picture ends.
    pub start: f64,
    /// Where it goes on.
    pub end: f64,
}

/// Gaps that are known of a track, at most.
const MAX: usize = 32;

/// Seconds that a packet lasts, at most. A longer one states a gap: some containers have no other way.
pub(super) const LONGEST_PACKET: f64 = 10.0;

/// The longest gaps between the packets of a track, those of at least [`Gaps::LONG`] seconds. Bounded.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Gaps {
    longest: [Gap; MAX],
    /// Time and duration of the latest packet; a duration of 0 is unknown.
    latest: Option<(f64, f64)>,
}

impl Gaps {
    /// Seconds of a gap that counts.
    pub const LONG: f64 = 60.0;

    /// Adds a packet at `time` that lasts `duration` seconds, 0 if unknown.
    pub(super) fn add(&mut self, time: f64, duration: f64) {
        if let Some((latest, lasts)) = self.latest {
            let lasts = if lasts > 0.0 { lasts.min(LONGEST_PACKET) } else { LONGEST_PACKET };
            self.insert(Gap { start: latest + lasts, end: time });
        }
        if self.latest.is_none_or(|(latest, _)| time > latest) {
            self.latest = Some((time, duration));
        }
    }

    fn insert(&mut self, gap: Gap) {
        let length = |gap: &Gap| gap.end - gap.start;
        let shortest = self.longest.iter_mut().min_by(|a, b| length(a).total_cmp(&length(b)));
        if length(&gap) >= Self::LONG
            && let Some(shortest) = shortest.filter(|shortest| length(shortest) < length(&gap))
        {
            *shortest = gap;
        }
    }

    /// Moves all gaps by `seconds`.
    pub(super) fn shift(&mut self, seconds: f64) {
        for gap in &mut self.longest {
            gap.start += seconds;
            gap.end += seconds;
        }
    }

    /// The gaps in the order of time.
    pub fn in_order(&self) -> Vec<Gap> {
        let mut gaps: Vec<_> =
            self.longest.iter().filter(|gap| gap.end - gap.start >= Self::LONG).copied().collect();
        gaps.sort_by(|a, b| a.start.total_cmp(&b.start));
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(packets: impl IntoIterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
        let mut gaps = Gaps::default();
        packets.into_iter().for_each(|(time, duration)| gaps.add(time, duration));
        gaps.in_order().iter().map(|gap| (gap.start, gap.end)).collect()
    }

    #[test]
    fn only_long_gaps_count() {
        assert_eq!(found([(0.0, 1.0), (60.0, 1.0), (121.0, 1.0), (122.0, 1.0)]), [(61.0, 121.0)]);
    }

    #[test]
    fn a_packet_that_lasts_for_minutes_is_followed_by_a_gap() {
        assert_eq!(found([(0.0, 600.0), (600.0, 1.0)]), [(10.0, 600.0)]);
        assert_eq!(found([(0.0, 0.0), (600.0, 0.0)]), [(10.0, 600.0)]);
    }

    #[test]
    fn the_longest_of_many_gaps_are_kept_in_order() {
        let gaps = found((0..100).map(|number| (f64::from(number * number * 100), 1.0)));
        assert_eq!(gaps.len(), MAX);
        assert!(gaps.windows(2).all(|pair| pair[0].1 < pair[1].0));
        assert_eq!(gaps.last(), Some(&(960_401.0, 980_100.0)));
    }
}

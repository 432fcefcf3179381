//! The times of a track's packets: when it begins and ends, how dense it is, and its gaps.

use super::density::Density;
use super::gaps::{Gap, Gaps, LONGEST_PACKET};

/// The times so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    first: Option<f64>,
    end: f64,
    latest: Option<f64>,
    /// Seconds between the packets with the latest times, the shorter one of the last two distances; 0 if unknown.
    step: f64,
    previous_step: f64,
    density: Density,
    gaps: Gaps,
    /// The time between all other packets and the latest one, if that is the last of all and the time is long.
    before_last: Option<Gap>,
}

impl Line {
    /// Adds a packet at `time` that lasts `duration` seconds, 0 if unknown.
    pub(super) fn add(&mut self, time: f64, duration: f64) {
        self.density.add(time);
        let gap = Gap { start: self.end, end: time };
        self.before_last = Some(gap).filter(|gap| self.latest.is_some() && gap.end - gap.start >= Gaps::LONG);
        self.gaps.add(time, duration);
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        if let Some(latest) = self.latest.filter(|latest| time > *latest) {
            let step = (time - latest).min(LONGEST_PACKET);
            // After a gap, the distance says nothing about the packet.
            self.step = if self.previous_step > 0.0 { step.min(self.previous_step) } else { step };
            self.previous_step = step;
        }
        self.latest = Some(self.latest.map_or(time, |latest| latest.max(time)));
        // Some containers state no duration of packets. A packet then lasts as long as those before it, as in the encode.
        let duration = if duration > 0.0 { duration } else { self.step };
        self.end = self.end.max(time + duration);
    }

    /// The earliest time; `None` without packets.
    pub(super) fn first(&self) -> Option<f64> {
        self.first
    }

    /// The latest time; `None` without packets.
    pub(super) fn latest(&self) -> Option<f64> {
        self.latest
    }

    /// The latest time plus the duration of that packet; 0 without packets.
    pub(super) fn end(&self) -> f64 {
        self.end
    }

    /// The largest number of packets within a second, see [`Density`].
    pub(super) fn densest_second(&self) -> u32 {
        self.density.densest()
    }

    /// The time without packets before the last one, if it is long.
    pub(super) fn before_last(&self) -> Option<Gap> {
        self.before_last
    }

    /// The long gaps between packets.
    pub(super) fn gaps(&self) -> Gaps {
        self.gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(packets: impl IntoIterator<Item = f64>) -> f64 {
        let mut line = Line::default();
        for time in packets {
            line.add(time, 0.0);
        }
        line.end()
    }

    #[test]
    fn a_packet_without_a_duration_lasts_as_long_as_those_before_it() {
        assert!((end([0.0, 0.5, 1.0]) - 1.5).abs() < 1e-9);
        assert!((end([0.0, 5.0, 10.0]) - 15.0).abs() < 1e-9, "slides");
    }

    #[test]
    fn a_last_packet_after_a_long_time_is_known() {
        let before_last = |times: &[f64]| {
            let mut line = Line::default();
            for time in times {
                line.add(*time, 1.0);
            }
            line.before_last()
        };
        assert_eq!(before_last(&[0.0, 1.0, 100.0]), Some(Gap { start: 2.0, end: 100.0 }));
        assert_eq!(before_last(&[100.0]), None);
        assert_eq!(before_last(&[0.0, 100.0, 101.0]), None, "not alone");
    }

    #[test]
    fn a_packet_without_a_duration_after_a_gap_does_not_last_as_long_as_the_gap() {
        assert!((end([0.0, 0.5, 1.0, 101.0]) - 101.5).abs() < 1e-9);
        assert!((end([0.0, 3600.0]) - 3610.0).abs() < 1e-9, "nothing else is known");
    }
}

//! The largest number of timestamps within one second.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Counts timestamps in a sliding window of one second. Its memory is bounded.
#[derive(Debug, Clone, Default)]
pub(super) struct Density {
    /// Timestamps that an earlier one may still follow, because packets are stored in decoding order.
    unsorted: BinaryHeap<Reverse<Microseconds>>,
    window: VecDeque<Microseconds>,
    densest: usize,
}

type Microseconds = i64;

const SECOND: Microseconds = 1_000_000;
/// Packets by which presentation and decoding order may differ. H.264 and HEVC allow 16 frames.
const REORDERED: usize = 32;

impl Density {
    /// Timestamps counted within one second, at most.
    pub(super) const MAX: u32 = 2_000;

    /// Adds a timestamp in seconds.
    pub(super) fn add(&mut self, time: f64) {
        #[allow(clippy::cast_possible_truncation, reason = "casts saturate")]
        self.unsorted.push(Reverse((time * 1e6).round() as Microseconds));
        if self.unsorted.len() > REORDERED
            && let Some(Reverse(earliest)) = self.unsorted.pop()
        {
            slide(&mut self.window, &mut self.densest, earliest);
        }
    }

    /// The largest number so far.
    pub(super) fn densest(&self) -> u32 {
        let (mut window, mut densest) = (self.window.clone(), self.densest);
        for Reverse(time) in self.unsorted.clone().into_sorted_vec().into_iter().rev() {
            slide(&mut window, &mut densest, time);
        }
        u32::try_from(densest).unwrap_or(u32::MAX)
    }
}

/// Moves the window, half open, so that it ends with `time`.
fn slide(window: &mut VecDeque<Microseconds>, densest: &mut usize, time: Microseconds) {
    // A jump back in time begins a new window.
    if window.back().is_some_and(|last| *last > time) {
        window.clear();
    }
    window.push_back(time);
    // Timestamps in whole milliseconds are off by up to half of one, so that a second may seem a millisecond shorter.
    while window.front().is_some_and(|first| time.saturating_sub(*first) >= SECOND - 1_000)
        || window.len() > Density::MAX as usize
    {
        window.pop_front();
    }
    *densest = (*densest).max(window.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn densest(times: impl IntoIterator<Item = f64>) -> u32 {
        let mut density = Density::default();
        times.into_iter().for_each(|time| density.add(time));
        density.densest()
    }

    #[test]
    fn a_constant_rate_is_counted_exactly_even_in_whole_milliseconds() {
        for rate in [25.0, 30.0, 30_000.0 / 1001.0, 60.0, 60_000.0 / 1001.0] {
            let times = (0..200).map(|frame| (f64::from(frame) / rate * 1000.0).round() / 1000.0);
            assert!((f64::from(densest(times)) - rate).abs() < 0.1, "{rate}");
        }
    }

    #[test]
    fn the_densest_second_of_a_variable_rate_is_found_in_any_order() {
        let slow = (0..100).map(|frame| f64::from(frame) * 0.2);
        let fast = (0..60).map(|frame| 20.0 + f64::from(frame ^ 3) / 30.0);
        assert_eq!(densest(slow.chain(fast)), 30);
        assert_eq!(densest([]), 0);
        assert_eq!(densest([7.0]), 1);
    }

    #[test]
    fn equal_timestamps_are_counted_in_bounded_memory() {
        assert_eq!(densest(std::iter::repeat_n(1.0, 100_000)), Density::MAX);
    }
}

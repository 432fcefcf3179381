//! Packets whose times jump ahead of those around them: a damaged or wrongly written timestamp.
//!
//! A packet that comes much later than the one before it may be the end of a gap, or its time may be wrong. What follows decides: if
//! the next packets go on where the times were before the jump, the packets in between have wrong times.

use super::line::Line;

/// Packets with wrong times that follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Jump {
    /// The earliest of their times, in seconds from the beginning of the file.
    pub start: f64,
    /// The latest of their times.
    pub end: f64,
    /// Seconds by which they are too late.
    pub shift: f64,
}

/// The jumps in the times of a track, in storage order. Bounded.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Jumps {
    found: [Jump; Jumps::MAX],
    count: usize,
}

impl Jumps {
    /// Jumps that are known of a track, at most. A file with more has no times to speak of and is left as it is.
    pub const MAX: usize = 16;
    /// Seconds of a jump that counts, at least. Frames in decoding order differ by less.
    pub const SHORTEST: f64 = 10.0;

    /// The jumps.
    pub fn as_slice(&self) -> &[Jump] {
        &self.found[..self.count]
    }

    fn push(&mut self, jump: Jump) {
        if let Some(place) = self.found.get_mut(self.count) {
            *place = jump;
            self.count += 1;
        }
    }

    /// Moves all jumps by `seconds`.
    pub(super) fn shift(&mut self, seconds: f64) {
        for jump in &mut self.found[..self.count] {
            jump.start += seconds;
            jump.end += seconds;
        }
    }
}

/// Follows the times of a track and separates those that are wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct Follower {
    line: Line,
    suspect: Option<Suspect>,
    jumps: Jumps,
    /// Whether all times are right, whatever they seem.
    is_trusting: bool,
}

/// Packets after a jump, whose times may be wrong.
#[derive(Debug, Clone)]
struct Suspect {
    /// What holds if the other explanation is right. Until the times return, `Follower::line` contains the suspect packets and this
    /// one does not; then they change places.
    other: Line,
    /// Where the packets belong if their times are wrong: the end of what came before them.
    place: f64,
    start: f64,
    end: f64,
    packets: u32,
    /// Packets since the times returned.
    since: Option<u32>,
    /// The longest distance between those packets in seconds.
    step: f64,
}

/// Packets by which presentation and decoding order may differ. H.264 and HEVC allow 16 frames.
const REORDERED: u32 = 32;
/// Seconds before the jump to which the times may return: frames in decoding order.
const TOLERANCE: f64 = 1.0;
/// How much longer a jump is than the distances between the packets after it. Rare pictures come in decoding order, too.
const LENGTH_IN_STEPS: f64 = 8.0;
/// Packets with wrong times that follow one another, at most. A cluster of a file has fewer.
const LONGEST_RUN: u32 = 2_000;

impl Follower {
    /// A follower for times that may rightly go back and forth.
    pub(super) fn trusting() -> Self {
        Self { is_trusting: true, ..Self::default() }
    }

    /// Adds a packet at `time` that lasts `duration` seconds, 0 if unknown.
    pub(super) fn add(&mut self, time: f64, duration: f64) {
        if let Some(suspect) = self.suspect.take() {
            self.suspect = self.examine(suspect, time, duration);
        }
        let may_jump = !self.is_trusting && self.jumps.count < Jumps::MAX && self.suspect.is_none();
        if may_jump && self.leaps(time) {
            let (other, place) = (self.line.clone(), self.line.end());
            let (start, end) = (time, time);
            self.suspect = Some(Suspect { other, place, start, end, packets: 0, since: None, step: 0.0 });
        }
        if let Some(suspect) = self.suspect.as_mut().filter(|suspect| suspect.since.is_none()) {
            suspect.packets += 1;
            suspect.end = suspect.end.max(time);
            if time > suspect.start - TOLERANCE {
                suspect.start = suspect.start.min(time);
            }
        }
        self.line.add(time, duration);
    }

    /// Whether a packet at `time` comes much later than all before it.
    fn leaps(&self, time: f64) -> bool {
        self.line.latest().is_some_and(|latest| time - latest > Jumps::SHORTEST)
    }

    /// Decides about `suspect` when a packet at `time` comes. Returns it if it stays undecided.
    fn examine(&mut self, mut suspect: Suspect, time: f64, duration: f64) -> Option<Suspect> {
        let before_it = suspect.start - Jumps::SHORTEST;
        if suspect.since.is_none() {
            let from = suspect.other.latest().unwrap_or(0.0) - TOLERANCE;
            let until = suspect.place + (suspect.end - suspect.start) + Jumps::SHORTEST;
            if time >= before_it || !(from..=until).contains(&time) {
                return (suspect.packets < LONGEST_RUN).then_some(suspect);
            }
            std::mem::swap(&mut self.line, &mut suspect.other);
        }
        if time >= before_it {
            let is_wrong = self.leaps(time) && self.is_far(&suspect);
            self.settle(suspect, is_wrong);
            return None;
        }
        let since = suspect.since.unwrap_or(0) + 1;
        if since > REORDERED {
            self.settle(suspect, true);
            return None;
        }
        suspect.since = Some(since);
        suspect.step = suspect.step.max(self.line.latest().map_or(0.0, |latest| time - latest));
        suspect.other.add(time, duration);
        Some(suspect)
    }

    /// Whether nothing fills the time up to the jump.
    fn is_far(&self, suspect: &Suspect) -> bool {
        let distance = self.line.latest().map_or(0.0, |latest| suspect.start - latest);
        distance > Jumps::SHORTEST && distance > LENGTH_IN_STEPS * suspect.step
    }

    /// Ends the suspicion. If the times are not wrong, packets are stored in another order than shown.
    fn settle(&mut self, suspect: Suspect, is_wrong: bool) {
        if is_wrong {
            let Suspect { start, end, place, .. } = suspect;
            self.jumps.push(Jump { start, end, shift: start - place });
        } else {
            self.line = suspect.other;
        }
    }

    /// The times without those that are wrong.
    pub(super) fn finish(mut self) -> (Line, Jumps) {
        if let Some(suspect) = self.suspect.take().filter(|suspect| suspect.since.is_some()) {
            let is_wrong = self.is_far(&suspect);
            self.settle(suspect, is_wrong);
        }
        (self.line, self.jumps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end of the track and its jumps as start, end and shift, all rounded to tenths.
    fn followed(packets: impl IntoIterator<Item = (f64, f64)>) -> (f64, Vec<[f64; 3]>) {
        let mut follower = Follower::default();
        packets.into_iter().for_each(|(time, duration)| follower.add(time, duration));
        let (line, jumps) = follower.finish();
        let tenths = |seconds: f64| (seconds * 10.0).round() / 10.0;
        let jumps = jumps.as_slice().iter().map(|jump| [jump.start, jump.end, jump.shift].map(tenths));
        (tenths(line.end()), jumps.collect())
    }

    fn steady(from: u32, until: u32) -> impl Iterator<Item = (f64, f64)> {
        (from..until).map(|number| (f64::from(number) / 10.0, 0.1))
    }

    #[test]
    fn one_late_packet_is_a_jump_wherever_it_is() {
        for place in [1, 50, 97] {
            let late = (f64::from(place) / 10.0 + 100.0, 0.1);
            let found = followed(steady(0, place).chain([late]).chain(steady(place + 1, 100)));
            let expected = [late.0, late.0, 100.0];
            assert_eq!(found, (10.0, vec![expected]), "{place}");
        }
    }

    #[test]
    fn a_cluster_of_late_packets_is_one_jump() {
        let late = steady(50, 80).map(|(time, duration)| (time + 65.5, duration));
        let found = followed(steady(0, 50).chain(late).chain(steady(80, 200)));
        assert_eq!(found, (20.0, vec![[70.5, 73.4, 65.5]]));
    }

    #[test]
    fn jumps_that_follow_one_another_are_told_apart() {
        let jump = |place: u32| [(f64::from(place) / 10.0 + 100.0, 0.1)];
        let parts = steady(0, 10).chain(jump(10)).chain(steady(11, 14)).chain(jump(14));
        let found = followed(parts.chain(steady(15, 100)));
        assert_eq!(found, (10.0, vec![[101.0, 101.0, 100.0], [101.4, 101.4, 100.0]]));
    }

    #[test]
    fn gaps_and_rare_pictures_are_no_jumps() {
        let gap = steady(0, 50).chain(steady(6_000, 6_100));
        assert_eq!(followed(gap), (610.0, vec![]));
        let slides = (0..20).map(|number| (f64::from(number) * 30.0, 30.0));
        assert_eq!(followed(slides), (600.0, vec![]));
        let last = steady(0, 50).chain([(3600.0, 0.1)]);
        assert_eq!(followed(last), (3600.1, vec![]), "nothing follows that would show that it is wrong");
    }

    #[test]
    fn rare_pictures_in_decoding_order_are_no_jumps() {
        for step in [1.0, 6.0, 10.0, 15.0, 60.0] {
            let order = [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11];
            let packets = order.map(|number| (f64::from(number) * step, step));
            assert_eq!(followed(packets), (13.0 * step, vec![]), "{step}");
        }
    }

    #[test]
    fn the_number_of_jumps_is_bounded() {
        let packets = (0..100).flat_map(|part| {
            let late = [(f64::from(part * 5) + 500.0, 0.1)];
            steady(part * 50, part * 50 + 50).chain(late)
        });
        assert_eq!(followed(packets).1.len(), Jumps::MAX);
    }
}

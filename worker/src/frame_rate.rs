//! Frame rates as exact fractions, because 29.97 is not 30000/1001.

use std::cmp::Ordering;
use std::fmt;

use streamio_events::digits;

/// Frames per second as a fraction greater than zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    numerator: u32,
    denominator: u32,
}

impl FrameRate {
    /// `numerator / denominator` frames per second; `None` if either is zero.
    pub const fn new(numerator: u32, denominator: u32) -> Option<Self> {
        if numerator == 0 || denominator == 0 { None } else { Some(Self { numerator, denominator }) }
    }

    /// A whole number of frames per second.
    pub(crate) const fn whole(numerator: u32) -> Self {
        Self { numerator, denominator: 1 }
    }

    /// Parses a fraction as ffprobe prints it, such as `30000/1001`. `None` for `0/0` and for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (numerator, denominator) = text.split_once('/')?;
        Self::new(digits::number(numerator)?, digits::number(denominator)?)
    }

    /// The rate as a floating-point number.
    pub fn per_second(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// The time of `1 / parts` of a frame in seconds, as a fraction in FFmpeg's syntax.
    pub fn tick(self, parts: u32) -> String {
        format!("{}/{}", self.denominator, u64::from(self.numerator) * u64::from(parts))
    }

    /// The constant rate to encode at. `nominal` is the lowest rate that fits all timestamps of the source's beginning, `average`
    /// its frames divided by its duration (ffprobe's `r_frame_rate` and `avg_frame_rate`); `densest` is the largest number of
    /// frames within any second, if it is known.
    ///
    /// Outputs have a constant rate so that every rung has the same frames, key frames fall on the same times, and
    /// `FRAME-RATE` is exact. The result is the source's rate if that is plausible and at most 60. A higher rate is divided
    /// by the smallest integer that brings it to 60 or less, so that frames are dropped evenly. For a variable rate the result
    /// keeps all frames of the densest second if 60 is enough; repeated frames cost almost nothing to encode.
    #[must_use]
    pub fn to_encode(nominal: Option<Self>, average: Option<Self>, densest: Option<u32>) -> Self {
        let average = average.filter(|rate| *rate <= Self::MAX_PLAUSIBLE);
        // A constant rate whose timestamps are not exact has one frame more in some seconds.
        let densest = densest.and_then(|frames| Self::new(frames.saturating_sub(1), 1));
        let holds = |rate: &Self| densest.is_none_or(|densest| *rate >= densest || rate.is_close_to(densest));
        // Constant but for small gaps, as between parts that were joined.
        let is_constant = nominal.zip(average).is_some_and(|(nominal, average)| nominal.is_close_to(average));
        let usual = average.and_then(Self::usual).filter(|usual| densest.is_some() && holds(usual));
        if let Some(usual) = usual.filter(|_| !is_constant) {
            return usual;
        }
        match (nominal.filter(|rate| *rate <= Self::MAX_PLAUSIBLE).filter(holds), densest.or(average)) {
            (Some(nominal), _) if average.is_some_and(|average| nominal.is_close_to(average)) => {
                nominal.capped()
            }
            // Variable: the nominal rate fits every timestamp.
            (Some(nominal), _) if nominal <= Self::CAP => nominal.at_least_one(),
            // Variable, and the nominal rate is only the resolution of the timestamps, or true of the beginning only.
            (_, Some(needed)) => Self::STANDARD
                .into_iter()
                .find(|standard| *standard >= needed && *standard >= Self::FOR_VARIABLE)
                .unwrap_or(Self::CAP),
            (_, None) => Self::FOR_VARIABLE,
        }
    }

    /// The rate of films, broadcasts and cameras that is nearest to `self`, if one is close.
    fn usual(self) -> Option<Self> {
        let distance = |rate: &Self| (rate.per_second() - self.per_second()).abs();
        let usual = Self::USUAL.into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        usual.filter(|usual| usual.is_close_to(self))
    }

    const CAP: Self = Self::whole(60);
    const USUAL: [Self; 8] = [
        Self { numerator: 24_000, denominator: 1001 },
        Self::whole(24),
        Self::whole(25),
        Self { numerator: 30_000, denominator: 1001 },
        Self::whole(30),
        Self::whole(50),
        Self { numerator: 60_000, denominator: 1001 },
        Self::whole(60),
    ];
    const FOR_VARIABLE: Self = Self::whole(30);
    /// High-speed cameras record up to 1,000 frames per second; a higher value is a timestamp resolution.
    const MAX_PLAUSIBLE: Self = Self::whole(1000);
    const STANDARD: [Self; 4] =
        [Self::whole(30), Self::whole(50), Self { numerator: 60_000, denominator: 1001 }, Self::whole(60)];

    fn capped(self) -> Self {
        let mut divisor = 1;
        while self.divided(divisor) > Self::CAP {
            divisor += 1;
        }
        self.divided(divisor).at_least_one()
    }

    fn divided(self, divisor: u32) -> Self {
        Self { denominator: self.denominator.saturating_mul(divisor), ..self }
    }

    /// Without this minimum, a slide show with one image per ten seconds would have segments of ten seconds.
    fn at_least_one(self) -> Self {
        self.max(Self::whole(1))
    }

    fn is_close_to(self, other: Self) -> bool {
        (self.per_second() / other.per_second() - 1.0).abs() < 0.01
    }
}

impl Ord for FrameRate {
    fn cmp(&self, other: &Self) -> Ordering {
        let cross = |a: Self, b: Self| u64::from(a.numerator) * u64::from(b.denominator);
        cross(*self, *other).cmp(&cross(*other, *self))
    }
}

impl PartialOrd for FrameRate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for FrameRate {
    /// In FFmpeg's syntax: `30000/1001` or `25`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.denominator {
            1 => write!(formatter, "{}", self.numerator),
            denominator => write!(formatter, "{}/{denominator}", self.numerator),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to_encode(nominal: &str, average: &str) -> String {
        FrameRate::to_encode(FrameRate::parse(nominal), FrameRate::parse(average), None).to_string()
    }

    fn with_densest(nominal: &str, average: &str, densest: u32) -> String {
        FrameRate::to_encode(FrameRate::parse(nominal), FrameRate::parse(average), Some(densest)).to_string()
    }

    #[test]
    fn the_densest_second_decides_where_the_beginning_is_slower() {
        // 5 frames a second at first, 30 later.
        assert_eq!(with_densest("5/1", "5/1", 30), "30");
        assert_eq!(with_densest("30/1", "8/1", 50), "50");
        assert_eq!(with_densest("15/1", "9/1", 400), "60");
        assert_eq!(with_densest("1000/1", "6/1", 48), "50");
    }

    #[test]
    fn small_gaps_do_not_change_a_usual_rate() {
        assert_eq!(with_densest("119/4", "2483/100", 25), "25");
        assert_eq!(with_densest("90000/1", "2970/100", 31), "30000/1001");
        // By chance: 30 frames a second with some missing.
        assert_eq!(with_densest("30/1", "25/1", 30), "30");
    }

    #[test]
    fn a_constant_rate_with_inexact_timestamps_is_kept() {
        assert_eq!(with_densest("25/1", "25/1", 26), "25");
        assert_eq!(with_densest("30000/1001", "30000/1001", 31), "30000/1001");
        assert_eq!(with_densest("24000/1001", "24000/1001", 24), "24000/1001");
        assert_eq!(with_densest("120/1", "120/1", 120), "120/2");
        assert_eq!(with_densest("1/10", "1/10", 1), "1");
    }

    #[test]
    fn a_tick_is_an_exact_part_of_a_frame() {
        assert_eq!(FrameRate::parse("30000/1001").unwrap().tick(100), "1001/3000000");
    }

    #[test]
    fn a_constant_rate_is_kept_exactly() {
        for rate in ["24000/1001", "24", "25", "30000/1001", "30", "50", "60000/1001", "60"] {
            let fraction = if rate.contains('/') { rate.to_owned() } else { format!("{rate}/1") };
            assert_eq!(to_encode(&fraction, &fraction), rate);
        }
    }

    #[test]
    fn a_high_rate_is_divided_so_that_frames_are_dropped_evenly() {
        assert_eq!(to_encode("120/1", "120/1"), "120/2");
        assert_eq!(to_encode("240000/1001", "240000/1001"), "240000/4004");
        assert_eq!(to_encode("100/1", "100/1"), "100/2");
    }

    #[test]
    fn a_variable_rate_keeps_every_frame_if_60_is_enough() {
        assert_eq!(to_encode("30/1", "17/2"), "30");
        assert_eq!(to_encode("90000/1", "2970/100"), "30");
        assert_eq!(to_encode("1000/1", "41/1"), "50");
        assert_eq!(to_encode("600/1", "55/1"), "60000/1001");
        assert_eq!(to_encode("0/0", "0/0"), "30");
        assert_eq!(to_encode("90000/1", "0/0"), "30");
    }

    #[test]
    fn a_slide_show_gets_one_frame_per_second() {
        assert_eq!(to_encode("1/10", "1/10"), "1");
    }

    proptest! {
        #[test]
        fn the_rate_is_always_between_1_and_60(a: u32, b: u32, c: u32, d: u32, near in 1u32..100_000, densest: Option<u32>) {
            for (nominal, average) in [((a, b), (c, d)), ((near, 1001), (near, 1000)), ((a, near), (a, near))] {
                let rate = FrameRate::to_encode(FrameRate::new(nominal.0, nominal.1), FrameRate::new(average.0, average.1), densest);
                prop_assert!((1.0..=60.0).contains(&rate.per_second()), "{rate}");
            }
        }
    }
}

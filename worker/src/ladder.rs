//! The bitrate ladder: the sizes to encode in. No rung is larger than the source, all keep its aspect ratio, and each is
//! clearly smaller than the one above.

/// One size of the ladder. Both sides are even, as H.264 with 4:2:0 chroma subsampling requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
}

/// Standard lengths of the short side, such as 720 for 720p.
const STANDARD_SIDES: [u32; 5] = [1080, 720, 480, 360, 240];

/// Largest ratio of a rung's short side to that of the rung above. A larger one saves too little to be worth encoding.
const LARGEST_STEP: f64 = 0.8;

/// H.264 level 5.1 allows sides of up to 8,688 pixels; phones decode about half of that.
const LONGEST_SIDE: u32 = 4096;

impl Rung {
    /// The shorter of width and height: the number in `720p`, for portrait and landscape.
    pub fn short_side(self) -> u32 {
        self.width.min(self.height)
    }

    /// The name of the rung, such as `720p`. Unique within a ladder.
    pub fn name(self) -> String {
        format!("{}p", self.short_side())
    }

    /// Peak bit rate in kbit/s, for FFmpeg's `-maxrate`. Grows with the 0.75th power of the number of pixels: 6 Mbit/s for
    /// 1080p, 3.3 for 720p, 1.8 for 480p, 1.2 for 360p, 0.6 for 240p. 1.5 times as much above 30 fps.
    pub fn max_kilobits(self, frames_per_second: f64) -> u32 {
        const FULL_HD: f64 = 1920.0 * 1080.0;
        let pixels = f64::from(self.width) * f64::from(self.height);
        let faster = if frames_per_second > 31.0 { 1.5 } else { 1.0 };
        let kilobits = 6000.0 * (pixels / FULL_HD).powf(0.75) * faster;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most 4096² pixels: 5 digits"
        )]
        let rounded = (kilobits / 10.0).ceil() as u32 * 10;
        rounded.max(100)
    }
}

/// The rungs for a video displayed at `width` x `height`, best first; at least one.
///
/// The first rung has the source's size, limited to 1080 on the short side. The others are the standard sizes below it. A
/// video smaller than the smallest standard size gets only its own size. Sides are rounded down to even numbers, so that
/// nothing is enlarged; the exception is a side of one pixel, which becomes two because encoders need at least two.
pub fn ladder(width: u32, height: u32) -> Vec<Rung> {
    let source = SourceSize { width, height };
    let top = source.fit(STANDARD_SIDES[0]);
    let mut rungs = vec![top];
    for side in STANDARD_SIDES {
        let above = rungs[rungs.len() - 1].short_side();
        let rung = source.fit(side);
        if f64::from(rung.short_side()) <= f64::from(above) * LARGEST_STEP {
            rungs.push(rung);
        }
    }
    rungs
}

#[derive(Clone, Copy)]
struct SourceSize {
    width: u32,
    height: u32,
}

impl SourceSize {
    /// Scales to at most `side` pixels on the short side and at most [`LONGEST_SIDE`] on the long one. Never enlarges.
    fn fit(self, side: u32) -> Rung {
        let (short, long) = (self.width.min(self.height), self.width.max(self.height));
        let scaled = |numerator: u32, denominator: u32, length: u32| {
            let exact = f64::from(length) * f64::from(numerator) / f64::from(denominator);
            // The nearest even number, at most one pixel off.
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "no longer than LONGEST_SIDE"
            )]
            let nearest = (exact / 2.0).round() as u32 * 2;
            nearest
        };
        let (mut new_short, mut new_long) =
            if short <= side { (short, long) } else { (side, scaled(side, short, long)) };
        if new_long > LONGEST_SIDE {
            (new_short, new_long) = (scaled(LONGEST_SIDE, long, short), LONGEST_SIDE);
        }
        // Round down to even, and never exceed the source's size.
        let even = |length: u32, most: u32| (length.min(most) & !1).max(2);
        let (new_short, new_long) = (even(new_short, short), even(new_long, long));
        if self.width <= self.height {
            Rung { width: new_short, height: new_long }
        } else {
            Rung { width: new_long, height: new_short }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sizes(width: u32, height: u32) -> String {
        ladder(width, height)
            .iter()
            .map(|rung| format!("{}x{}", rung.width, rung.height))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn common_sources_get_the_standard_rungs() {
        assert_eq!(sizes(3840, 2160), "1920x1080 1280x720 854x480 640x360 426x240");
        assert_eq!(sizes(1920, 1080), "1920x1080 1280x720 854x480 640x360 426x240");
        assert_eq!(sizes(1280, 720), "1280x720 854x480 640x360 426x240");
        assert_eq!(sizes(1080, 1920), "1080x1920 720x1280 480x854 360x640 240x426");
        assert_eq!(sizes(768, 576), "768x576 480x360 320x240");
        assert_eq!(sizes(640, 272), "640x272");
        assert_eq!(sizes(641, 359), "640x358 428x240");
        assert_eq!(sizes(320, 180), "320x180");
        assert_eq!(sizes(2560, 1080), "2560x1080 1706x720 1138x480 854x360 568x240");
    }

    #[test]
    fn a_source_just_above_a_standard_size_does_not_get_both() {
        assert_eq!(sizes(1424, 800), "1424x800 854x480 640x360 428x240");
    }

    #[test]
    fn extreme_aspect_ratios_stay_within_the_size_limit() {
        assert_eq!(sizes(10_000, 100), "4096x40");
        assert_eq!(sizes(1, 1), "2x2");
        assert_eq!(sizes(1, 9000), "2x4096");
        assert_eq!(sizes(8277, 1), "4096x2");
    }

    #[test]
    fn bit_rates_decrease_with_the_size() {
        let kilobits: Vec<_> = ladder(1920, 1080).iter().map(|rung| rung.max_kilobits(30.0)).collect();
        assert_eq!(kilobits, [6000, 3270, 1780, 1160, 630]);
        assert_eq!(ladder(1920, 1080)[0].max_kilobits(60.0), 9000);
    }

    fn side() -> impl Strategy<Value = u32> {
        prop_oneof![1u32..300, 1u32..2200, 1u32..9000]
    }

    proptest! {
        #[test]
        fn nothing_is_enlarged_and_all_sides_are_even(width in side(), height in side()) {
            for rung in ladder(width, height) {
                prop_assert!(rung.width <= width.max(2) && rung.height <= height.max(2), "{rung:?}");
                prop_assert!(rung.width % 2 == 0 && rung.height % 2 == 0 && rung.short_side() > 0, "{rung:?}");
                prop_assert!(rung.width.max(rung.height) <= LONGEST_SIDE && rung.short_side() <= 1080, "{rung:?}");
            }
        }

        #[test]
        fn the_aspect_ratio_is_kept_to_the_pixel(width in side(), height in side()) {
            for rung in ladder(width, height) {
                let (w, h) = (f64::from(rung.width), f64::from(rung.height));
                let shape = f64::from(width.max(height)) / f64::from(width.min(height));
                // Both sides were rounded to even numbers, so the exact ratio lies within one pixel of each side. A short
                // side of two is the minimum: the exact one may be arbitrarily smaller.
                let (long, short) = (w.max(h), w.min(h));
                let flattest = (long - 1.01) / (short + 1.01);
                let thinnest = if short > 2.0 { (long + 1.01) / (short - 1.01) } else { f64::INFINITY };
                prop_assert!(flattest <= shape && shape <= thinnest, "{rung:?} of {width}x{height}");
                prop_assert_eq!(width < height && w > h || width > height && w < h, false, "{:?}", rung);
            }
        }

        #[test]
        fn sizes_and_bit_rates_decrease_and_names_are_unique(width in side(), height in side(), fps in 1.0..60.0) {
            let rungs = ladder(width, height);
            prop_assert!((1..=5).contains(&rungs.len()));
            for pair in rungs.windows(2) {
                prop_assert!(pair[1].width < pair[0].width.max(3) && pair[1].height < pair[0].height.max(3));
                prop_assert!(pair[1].short_side() < pair[0].short_side());
                prop_assert!(pair[1].max_kilobits(fps) <= pair[0].max_kilobits(fps));
                prop_assert_ne!(pair[0].name(), pair[1].name());
            }
        }

        #[test]
        fn portrait_rungs_are_landscape_rungs_with_sides_swapped(width in side(), height in side()) {
            let turned: Vec<_> =
                ladder(height, width).iter().map(|rung| Rung { width: rung.height, height: rung.width }).collect();
            if width != height {
                prop_assert_eq!(ladder(width, height), turned);
            }
        }
    }
}

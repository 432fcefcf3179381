//! Where to look for the poster.

/// A part of the source among whose pictures the poster is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PosterWindow {
    /// Seconds to skip in the source; times count from there.
    pub seek: f64,
    /// Seconds to the first candidate.
    pub first: f64,
    /// Length in seconds; `None` to take the first picture.
    pub length: Option<f64>,
    /// Whether to leave out black pictures.
    pub skip_black: bool,
}

/// Upper bound of a window at the beginning. Every picture in it is decoded.
const LONG: f64 = 24.0;
/// Length of a later window. Decoding starts up to a group of pictures before it.
const SHORT: f64 = 8.0;
/// Parts of the source at which the later windows begin.
const LATER: [f64; 3] = [0.25, 0.5, 0.75];

/// The windows to try one after the other until one gives a picture: the beginning; later ones if it is black; if all are,
/// the beginning as it is, and at last the first picture. `first` is the time of the first picture, `end` the end of the video.
pub(super) fn windows(first: f64, end: Option<f64>) -> Vec<PosterWindow> {
    let length = end.map_or(LONG, |end| (end - first).clamp(0.001, LONG));
    // Without seeking where that saves little. The millisecond is for times rounded in the arguments.
    let (seek, first) = if first > LONG { (first - 0.001, 0.0) } else { (0.0, (first - 0.001).max(0.0)) };
    let beginning = PosterWindow { seek, first, length: Some(length), skip_black: true };
    let mut windows = vec![beginning];
    if let Some(end) = end.filter(|end| *end > seek + first + LONG) {
        let at = |part: f64| seek + first + (end - seek - first) * part;
        windows.extend(LATER.map(|part| PosterWindow {
            seek: at(part),
            first: 0.0,
            length: Some(SHORT),
            skip_black: true,
        }));
    }
    windows.push(PosterWindow { skip_black: false, ..beginning });
    windows.push(PosterWindow { seek: 0.0, first: 0.0, length: None, skip_black: false });
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(first: f64, end: Option<f64>) -> Vec<(f64, bool)> {
        windows(first, end)
            .iter()
            .map(|window| ((window.seek + window.first).round(), window.skip_black))
            .collect()
    }

    #[test]
    fn a_short_video_has_only_its_beginning() {
        assert_eq!(starts(0.0, Some(5.0)), [(0.0, true), (0.0, false), (0.0, false)]);
        assert_eq!(windows(0.0, Some(5.0))[0].length, Some(5.0));
        assert_eq!(windows(0.0, Some(0.0))[0].length, Some(0.001));
    }

    #[test]
    fn a_long_video_has_later_windows_before_a_black_poster_is_accepted() {
        assert_eq!(
            starts(0.0, Some(100.0)),
            [(0.0, true), (25.0, true), (50.0, true), (75.0, true), (0.0, false), (0.0, false)]
        );
    }

    #[test]
    fn a_picture_that_begins_late_is_where_the_windows_begin() {
        assert_eq!(starts(30.0, Some(40.0)), [(30.0, true), (30.0, false), (0.0, false)]);
        assert_eq!(
            windows(3.0, Some(40.0))[0].seek.to_bits(),
            0.0f64.to_bits(),
            "no seeking for a few seconds"
        );
    }
}

//! When tracks begin and end. All renditions end together: where the source's tracks do not, sound is followed by silence and
//! the last picture is held.

use crate::frame_rate::FrameRate;
use crate::probe::gaps::{Gap, Gaps};
use crate::probe::jumps::Jump;
use crate::probe::packets::StreamPackets;
use crate::probe::{FormatChange, GoesOn, Probe};

/// The tracks in use, on FFmpeg's time: seconds from the beginning of the file.
pub(super) struct Timeline<'a> {
    probe: &'a Probe,
    /// The latest end of all tracks; `None` if none is known.
    pub(super) end: Option<f64>,
}

impl<'a> Timeline<'a> {
    /// The timeline of the streams `indexes`.
    pub(super) fn of(probe: &'a Probe, indexes: impl IntoIterator<Item = u32>) -> Self {
        let mut timeline = Self { probe, end: None };
        timeline.end = indexes
            .into_iter()
            .filter_map(|index| timeline.packets(index))
            .map(|packets| packets.end)
            .reduce(f64::max)
            .filter(|end| end.is_finite() && *end > 0.0);
        timeline
    }

    /// What is known of a stream's packets; `None` if it is unknown or empty.
    pub(super) fn packets(&self, index: u32) -> Option<StreamPackets> {
        self.probe.packets.get(&index).copied().filter(|packets| packets.packets > 0)
    }

    /// Seconds before the first picture or sound of a stream; 0 if unknown.
    pub(super) fn first(&self, index: u32) -> f64 {
        self.packets(index).and_then(|packets| packets.first_pts).unwrap_or(0.0).max(0.0)
    }

    /// Number of frames at `rate` until all tracks have ended. Sound that ends less than a frame after the picture does not count:
    /// the last packet of sound is often longer than what is heard of it.
    pub(super) fn frames(&self, video: u32, rate: FrameRate) -> Option<u64> {
        let (own, end) = (self.packets(video)?.end, self.end?);
        let until = if (end - own) * rate.per_second() < 1.0 { own } else { end };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive; casts saturate"
        )]
        let frames = (until * rate.per_second()).round() as u64;
        Some(frames.max(1))
    }

    /// The long gaps in a stream, that before its first packet included.
    pub(super) fn gaps(&self, index: u32) -> Vec<Gap> {
        let first = Gap { start: 0.0, end: self.first(index) };
        let gaps = self.packets(index).map(|packets| packets.gaps.in_order()).unwrap_or_default();
        Some(first).filter(|gap| gap.end >= Gaps::LONG).into_iter().chain(gaps).collect()
    }

    /// The packets of a stream whose times are wrong.
    pub(super) fn jumps(&self, index: u32) -> Vec<Jump> {
        self.packets(index).map(|packets| packets.jumps.as_slice().to_vec()).unwrap_or_default()
    }

    /// Whether a stream changes its format in mid-stream, so that what follows cannot be decoded.
    pub(super) fn changes(&self, index: u32) -> bool {
        let is_changed = |change: &FormatChange| change.index == index && change.goes_on == GoesOn::InItself;
        self.probe.changes.iter().any(is_changed)
    }

    /// Seconds between the end of an audio track and that of the longest track.
    pub(super) fn silence_after(&self, audio: u32) -> f64 {
        match (self.end, self.packets(audio)) {
            (Some(end), Some(packets)) => (end - packets.end).max(0.0),
            _ => 0.0,
        }
    }
}

//! Pictures and sound that change their format, or go on in another stream.

use streamio_events::media::MediaWarning;

use super::{streams, warning};
use crate::probe::{FormatChange, GoesOn, Probe};

const CODE: &str = "format_change";
const ADVICE: &str = "upload the parts as files of their own, or convert them to one format";

/// Changes that the container states.
pub(super) fn stated(probe: &Probe) -> impl Iterator<Item = MediaWarning> {
    let end = probe.measured_duration.unwrap_or(0.0);
    probe.changes.iter().filter_map(move |change| {
        let (what, _) = streams(probe).find(|(_, index)| *index == change.index)?;
        let place = match change.seconds.filter(|seconds| *seconds <= end) {
            Some(seconds) => format!("from about {seconds:.1} s on"),
            None => "from some place on".to_owned(),
        };
        let text = match change.goes_on {
            GoesOn::InItself => {
                format!("the {what} {place} cannot be decoded, because the format changes there; {ADVICE}")
            }
            GoesOn::InAnother(Some(index)) if is_used(probe, index) => {
                format!("the {what} {place} can be heard in another track only; {ADVICE}")
            }
            GoesOn::InAnother(_) => {
                format!("the {what} {place} cannot be used, because the stream changes there; {ADVICE}")
            }
        };
        Some(warning(CODE, text))
    })
}

fn is_used(probe: &Probe, index: u32) -> bool {
    streams(probe).any(|(_, used)| used == index)
}

/// Seconds by which streams that follow one another may overlap.
const OVERLAP: f64 = 1.0;

/// When the packets of a stream begin and end.
#[derive(Clone, Copy)]
struct Extent {
    from: f64,
    until: f64,
}

impl Extent {
    /// The extent of stream `index`; `None` if it is unknown.
    fn of(probe: &Probe, index: u32) -> Option<Self> {
        let packets = probe.packets.get(&index)?;
        Some(Self { from: packets.first_pts?, until: packets.end })
    }

    /// Whether a stream with this extent goes on after `earlier` has ended.
    fn follows(self, earlier: Self) -> bool {
        let shorter = (self.until - self.from).min(earlier.until - earlier.from);
        // Half of a short stream, such as a single picture.
        self.from >= earlier.until - OVERLAP.min(shorter / 2.0)
    }
}

/// Whether a change is stated that leads to stream `index`.
fn is_stated(probe: &Probe, index: u32) -> bool {
    let leads_there = |change: &FormatChange| change.goes_on == GoesOn::InAnother(Some(index));
    probe.changes.iter().any(leads_there)
}

/// Pictures before or after those that are used, in a stream of their own.
pub(super) fn other_pictures(probe: &Probe) -> impl Iterator<Item = MediaWarning> {
    let used = probe.video.as_ref().and_then(|video| Extent::of(probe, video.index));
    let others = probe.other_pictures.iter().filter(|index| !is_stated(probe, **index));
    others.filter_map(move |index| {
        let (used, other) = (used?, Extent::of(probe, *index)?);
        let Extent { from, until } = other;
        (other.follows(used) || used.follows(other)).then(|| {
            let text = format!(
                "the pictures from {from:.1} s to {until:.1} s cannot be used, because they are in another stream; {ADVICE}"
            );
            warning(CODE, text)
        })
    })
}

/// Sound that begins after the end of the default track, in a track of its own.
pub(super) fn other_sound(probe: &Probe) -> impl Iterator<Item = MediaWarning> {
    let default = probe.audio.first().and_then(|track| Extent::of(probe, track.index));
    let others = probe.audio.iter().skip(1).filter(|track| !is_stated(probe, track.index));
    others.filter_map(move |track| {
        let other = Extent::of(probe, track.index)?;
        let from = other.from;
        other.follows(default?).then(|| {
            let text = format!("the sound from {from:.1} s on can be heard in another track only; {ADVICE}");
            warning(CODE, text)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_follows_another_if_it_begins_near_its_end() {
        let extent = |from, until| Extent { from, until };
        assert!(extent(3.0, 6.0).follows(extent(0.0, 3.5)));
        assert!(!extent(2.0, 6.0).follows(extent(0.0, 3.5)));
        assert!(!extent(0.0, 9.0).follows(extent(0.0, 0.04)), "a picture in the beginning, such as a cover");
        assert!(!extent(0.0, 0.5).follows(extent(0.0, 0.5)), "short tracks");
    }
}

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

/// When the packets of a stream begin and end; `None` if that is unknown.
fn extent(probe: &Probe, index: u32) -> Option<(f64, f64)> {
    let packets = probe.packets.get(&index)?;
    Some((packets.first_pts?, packets.end))
}

/// Whether a change is stated that leads to stream `index`.
fn is_stated(probe: &Probe, index: u32) -> bool {
    let leads_there = |change: &FormatChange| change.goes_on == GoesOn::InAnother(Some(index));
    probe.changes.iter().any(leads_there)
}

/// Pictures before or after those that are used, in a stream of their own.
pub(super) fn other_pictures(probe: &Probe) -> impl Iterator<Item = MediaWarning> {
    let used = probe.video.as_ref().and_then(|video| extent(probe, video.index));
    let others = probe.other_pictures.iter().filter(|index| !is_stated(probe, **index));
    others.filter_map(move |index| {
        let ((used_from, used_until), (from, until)) = (used?, extent(probe, *index)?);
        let is_apart = from >= used_until - OVERLAP || until <= used_from + OVERLAP;
        is_apart.then(|| {
            let text = format!(
                "the pictures from {from:.1} s to {until:.1} s cannot be used, because they are in another stream; {ADVICE}"
            );
            warning(CODE, text)
        })
    })
}

/// Sound that begins after the end of the default track, in a track of its own.
pub(super) fn other_sound(probe: &Probe) -> impl Iterator<Item = MediaWarning> {
    let default = probe.audio.first().and_then(|track| extent(probe, track.index));
    let others = probe.audio.iter().skip(1).filter(|track| !is_stated(probe, track.index));
    others.filter_map(move |track| {
        let ((_, until), (from, _)) = (default?, extent(probe, track.index)?);
        (from >= until - OVERLAP).then(|| {
            let text = format!("the sound from {from:.1} s on can be heard in another track only; {ADVICE}");
            warning(CODE, text)
        })
    })
}

//! What is wrong with a source although it can be processed.

mod format_changes;

use streamio_events::media::MediaWarning;

use super::Probe;
use super::gaps::Gaps;
use super::jumps::Jump;

/// The warnings about a probed source.
pub(super) fn of(probe: &Probe) -> Vec<MediaWarning> {
    let truncated = probe.is_truncated.then(|| {
        let text = "a part of the file is missing; the video ends where the file ends";
        warning("truncated", text.to_owned())
    });
    truncated
        .into_iter()
        .chain(wrong_times(probe))
        .chain(late_end(probe))
        .chain(format_changes::stated(probe))
        .chain(format_changes::other_pictures(probe))
        .chain(format_changes::other_sound(probe))
        .chain(zeros_after(probe))
        .collect()
}

fn warning(code: &str, message: String) -> MediaWarning {
    MediaWarning { code: code.to_owned(), message }
}

/// The streams in use, with what they hold.
fn streams(probe: &Probe) -> impl Iterator<Item = (&'static str, u32)> {
    let video = probe.video.iter().map(|video| ("pictures", video.index));
    video.chain(probe.audio.iter().map(|audio| ("sound", audio.index)))
}

/// Packets whose times were corrected.
fn wrong_times(probe: &Probe) -> impl Iterator<Item = MediaWarning> {
    streams(probe).filter_map(|(what, index)| {
        let jumps = probe.packets.get(&index)?.jumps;
        let place = |jump: &Jump| jump.start - jump.shift;
        let first = jumps.as_slice().iter().min_by(|a, b| place(a).total_cmp(&place(b)))?;
        let times = match jumps.as_slice().len() {
            1 => "one place".to_owned(),
            places => format!("{places} places"),
        };
        Some(warning(
            "wrong_times",
            format!(
                "the times of the {what} jump ahead and back in {times}, first at {:.1} s by {:.1} s; {what} with such times were \
                 put where they belong",
                place(first),
                first.shift
            ),
        ))
    })
}

/// A last picture or piece of sound long after everything else in the file. Nothing shows whether its time is wrong: recorders of
/// screens write the last picture when they are stopped.
fn late_end(probe: &Probe) -> Option<MediaWarning> {
    let ends = |index: u32| probe.packets.get(&index).map_or(0.0, |packets| packets.end);
    let (what, index, gap) = streams(probe)
        .filter_map(|(what, index)| Some((what, index, probe.packets.get(&index)?.before_last?)))
        .max_by(|a, b| a.2.end.total_cmp(&b.2.end))?;
    let others = streams(probe).map(|(_, other)| other).filter(|other| *other != index);
    let before = others.map(ends).fold(gap.start, f64::max);
    let seconds = gap.end - before;
    (seconds >= Gaps::LONG).then(|| {
        let what = if what == "sound" { "packet of sound" } else { "picture" };
        let text = format!(
            "the last {what} comes {seconds:.1} s after everything else, which ends at {before:.1} s; if its time is wrong, \
             export the file again"
        );
        warning("late_end", text)
    })
}

/// Zeros after what seems to be the end of the media.
fn zeros_after(probe: &Probe) -> Option<MediaWarning> {
    (probe.zeros_after > 0).then(|| {
        let text = format!(
            "the last {} bytes of the file are zeros; if a part of it was never written, the video ends too early",
            probe.zeros_after
        );
        warning("zeros_at_end", text)
    })
}

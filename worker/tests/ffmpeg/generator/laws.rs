//! What holds for every file.

use std::path::Path;
use std::time::Duration;

use streamio_events::job::Job;
use streamio_events::retryable::Retryable as _;
use streamio_worker::run::RunOutcome;
use streamio_worker::transcode::memory;

use super::recipe::Recipe;
use crate::clip::run;
use crate::harness::{PROCESSED, WorkerHarness};
use crate::inspect;
use crate::measure::{beeps, flashes};

/// Time for a file of a few seconds on a machine that is busy with other tests.
const TIME: Duration = Duration::from_secs(150);
/// Seconds of a still picture and silence that are made in a second on such a machine. A damaged file may state times hours apart.
const SLOWEST: f64 = 30.0;
/// Seconds of a frame of AAC at 48 kHz, with which sound begins or ends.
const AAC_FRAME: f64 = 1024.0 / 48_000.0;

/// Returns the law that is broken.
pub(super) async fn check(
    recipe: &Recipe,
    file: &Path,
    harness: &WorkerHarness,
    job: &Job,
    outcome: RunOutcome,
    took: Duration,
) -> Result<(), String> {
    let in_time = |made: f64| {
        let limit = TIME + Duration::from_secs_f64(made / SLOWEST);
        if took > limit { Err(format!("it took {} s for {made} s", took.as_secs())) } else { Ok(()) }
    };
    let pixels = recipe.largest().map_or(0, |(width, height)| u64::from(width) * u64::from(height));
    let (peak, bound) = (harness.peak_memory(), memory(pixels));
    // A damaged file may state any size.
    if recipe.is_whole() && peak > bound {
        return Err(format!("FFmpeg took {peak} bytes of memory, more than {bound}"));
    }
    if !matches!(outcome, RunOutcome::Published) {
        in_time(0.0)?;
    }
    match outcome {
        RunOutcome::Failed(failure) if failure.is_retryable() => {
            return Err(format!(
                "it would be tried again, although only the file can be at fault: {failure:?}"
            ));
        }
        RunOutcome::Failed(failure) if recipe.is_whole() => {
            return Err(format!("a whole file is refused: {failure:?}"));
        }
        RunOutcome::Failed(_) => return Ok(()),
        RunOutcome::Published => {}
        other => return Err(format!("it neither is published nor fails: {other:?}")),
    }
    let video = harness.video(&job.video_id).await;
    let (source, outputs) = (video.source.unwrap(), video.outputs.unwrap());
    let master = harness.storage.path(PROCESSED, outputs.hls_key.as_str());
    let mp4 = harness.storage.path(PROCESSED, outputs.mp4_key.as_str());
    let has_picture = outputs.renditions.iter().any(|rendition| rendition.width.is_some());

    let mut durations = vec![inspect::duration(&mp4)];
    let (mut frames, mut key_frames) = (Vec::new(), Vec::new());
    for (_, path) in inspect::variants(&master) {
        frames.push(inspect::decode(&path));
        durations.push(inspect::duration(&path));
        if has_picture {
            key_frames.push(inspect::key_frames(&path));
        }
    }
    for track in inspect::parse(&master).alternatives {
        let path = master.parent().unwrap().join(track.uri.unwrap());
        inspect::decode(&path);
        durations.push(inspect::duration(&path));
    }
    let differ = |pair: &[u64]| pair[0] != pair[1];
    if frames.windows(2).any(differ) || key_frames.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(format!("renditions are not aligned: {frames:?} frames, key frames {key_frames:?}"));
    }
    if let Some((width, height)) = recipe.largest() {
        let is_larger = |rendition: &streamio_events::media::Rendition| {
            rendition.width > Some(width.max(2)) || rendition.height > Some(height.max(2))
        };
        if recipe.is_whole() && outputs.renditions.iter().any(is_larger) {
            return Err(format!("{width}x{height} is enlarged to {:?}", outputs.renditions));
        }
    }
    let frame = recipe.frame().max(1.0 / 60.0) + 2.0 * AAC_FRAME + recipe.undecoded();
    // What cannot be decoded at the end of one track of a damaged file is missing in its renditions only.
    let of_one_track = if recipe.is_whole() { &durations[..] } else { &durations[1..=frames.len()] };
    if let Some(other) = of_one_track.iter().find(|duration| (**duration - of_one_track[0]).abs() > frame) {
        return Err(format!("renditions have different durations: {other} s in {durations:?}"));
    }
    let longest = durations.iter().copied().fold(0.0, f64::max);
    in_time(longest)?;
    if (source.duration_seconds - longest).abs() > frame + 0.15 {
        return Err(format!("{} s are shown, {longest} s were made", source.duration_seconds));
    }
    if !recipe.is_whole() {
        return Ok(());
    }
    let reference = reference_duration(file);
    if let Some(other) = durations.iter().find(|duration| (**duration - reference).abs() > frame) {
        return Err(format!("the source has {reference} s, a rendition {other} s: {durations:?}"));
    }
    match recipe.beep_delay() {
        Some(delay) => in_sync(&mp4, delay, recipe.frame()),
        None => Ok(()),
    }
}

/// Whether every beep comes `delay` seconds after its flash, within 40 ms. A flash begins with the first picture in its time.
fn in_sync(mp4: &Path, delay: f64, frame: f64) -> Result<(), String> {
    let (flashes, beeps) = (flashes(mp4), beeps(mp4));
    for beep in &beeps {
        // What begins late or ends early has no partner.
        let nearest =
            flashes.iter().map(|flash| beep - delay - flash).min_by(|a, b| a.abs().total_cmp(&b.abs()));
        if let Some(off) = nearest.filter(|off| off.abs() < 0.5)
            && !(-0.04 - frame..=0.04).contains(&off)
        {
            return Err(format!(
                "sound and picture are {off:.3} s apart: flashes {flashes:?}, beeps {beeps:?}"
            ));
        }
    }
    Ok(())
}

/// Seconds from the beginning of the first to the end of the last decoded frame of a file, by the times that it states.
fn reference_duration(file: &Path) -> f64 {
    let entries =
        "frame=media_type,pts_time,pkt_duration_time,duration_time,nb_samples,best_effort_timestamp_time";
    let args = ["-v", "quiet", "-of", "json", "-show_entries", entries];
    let output = run("ffprobe", Path::new("."), args.iter().map(Path::new).chain([file]));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |value: &serde_json::Value| value.as_str().and_then(|text| text.parse::<f64>().ok());
    let (mut start, mut end) = (f64::INFINITY, f64::NEG_INFINITY);
    let mut last = std::collections::BTreeMap::<&str, f64>::new();
    for frame in json["frames"].as_array().into_iter().flatten() {
        let kind = frame["media_type"].as_str().unwrap_or_default();
        let time = number(&frame["pts_time"]).or_else(|| number(&frame["best_effort_timestamp_time"]));
        let duration = number(&frame["duration_time"]).or_else(|| number(&frame["pkt_duration_time"]));
        // Raw sound has no timestamps: one frame follows another.
        let time = time.or_else(|| last.get(kind).copied()).unwrap_or(0.0);
        let until = time + duration.unwrap_or(0.0);
        last.insert(kind, until);
        (start, end) = (start.min(time), end.max(until));
    }
    end - start
}

//! Uploads the playlists and initialization segments of a finished encode, checked against the uploaded segments.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::PLAYLIST_TYPE;
use crate::argv::{INIT, PLAYLIST};
use crate::codecs;
use crate::failure::{Failure, MachineError};
use crate::plan::Plan;
use crate::playlist::{AudioRendition, Bandwidth, Master, MediaPlaylist, VideoRendition};
use crate::storage::{Condition, Content, ObjectHeaders};
use crate::upload::Destination;

/// The renditions of a finished encode.
pub(super) struct Collected {
    pub(super) master: Master,
    /// Duration of the longest rendition.
    pub(super) duration: Duration,
}

struct Rendition {
    codec: String,
    bandwidth: Bandwidth,
    duration: f64,
}

/// Uploads each rendition's playlist and initialization segment, and measures its bit rates. `sizes` holds the sizes of the
/// uploaded segments by name.
pub(super) async fn renditions(
    plan: &Plan,
    scratch: &Path,
    destination: &Destination,
    sizes: &BTreeMap<String, u64>,
) -> Result<Collected, Failure> {
    let mut collected = Collected { master: Master::default(), duration: Duration::ZERO };
    if let Some(video) = &plan.video {
        for rung in &video.rungs {
            let rendition = rendition(&rung.name(), "video/mp4", scratch, destination, sizes).await?;
            collected.extend_duration(&rendition);
            collected.master.video.push(VideoRendition {
                rung: *rung,
                frame_rate: video.frame_rate,
                codec: rendition.codec,
                bandwidth: rendition.bandwidth,
            });
        }
    }
    for track in &plan.audio {
        let rendition = rendition(&track.name, "audio/mp4", scratch, destination, sizes).await?;
        collected.extend_duration(&rendition);
        collected.master.audio.push(AudioRendition {
            name: track.name.clone(),
            title: track.title.clone(),
            language: track.language.clone(),
            codec: rendition.codec,
            bandwidth: rendition.bandwidth,
        });
    }
    Ok(collected)
}

impl Collected {
    fn extend_duration(&mut self, rendition: &Rendition) {
        let duration = Duration::try_from_secs_f64(rendition.duration).unwrap_or_default();
        self.duration = self.duration.max(duration);
    }
}

async fn rendition(
    folder: &str,
    content_type: &'static str,
    scratch: &Path,
    destination: &Destination,
    sizes: &BTreeMap<String, u64>,
) -> Result<Rendition, Failure> {
    let unexpected = |problem: String| Failure::EncoderFailed { diagnosis: format!("{folder}: {problem}") };
    let text = read(scratch, &format!("{folder}/{PLAYLIST}")).await?;
    let undecodable = Failure::Corrupt { reason: "one of its streams cannot be decoded" };
    // FFmpeg writes no playlist for a stream without a packet, or one that lasts no time if only the encoder's header is known.
    let Some(text) = text else { return Err(undecodable) };
    let playlist = MediaPlaylist::parse(&text).map_err(|error| unexpected(error.to_string()))?;
    if playlist.duration() <= 0.0 {
        return Err(undecodable);
    }
    let mut measured = Vec::new();
    for segment in &playlist.segments {
        let name = format!("{folder}/{}", segment.name);
        let bytes = sizes.get(&name).ok_or_else(|| unexpected(format!("segment {name} was not uploaded")))?;
        measured.push((*bytes, segment.duration));
    }
    let init = read(scratch, &format!("{folder}/{INIT}")).await?;
    let init = init.ok_or_else(|| unexpected("no initialization segment".to_owned()))?;
    let codec = codecs::from_init_segment(&init).map_err(|error| unexpected(error.to_string()))?;

    let put = |name: &str, bytes: Vec<u8>, content_type| {
        let location = destination.location(&format!("{folder}/{name}"));
        let content = Content::Bytes(Bytes::from(bytes));
        async move {
            destination
                .storage
                .put(&location, content, ObjectHeaders::immutable(content_type), Condition::None)
                .await
        }
    };
    put(INIT, init, content_type).await?;
    put(PLAYLIST, text, PLAYLIST_TYPE).await?;
    let bandwidth = Bandwidth::measure(&measured, playlist.target_duration);
    Ok(Rendition { codec, bandwidth, duration: playlist.duration() })
}

/// The file `name` of `scratch`; `None` if it does not exist.
pub(super) async fn read(scratch: &Path, name: &str) -> Result<Option<Vec<u8>>, MachineError> {
    match tokio::fs::read(scratch.join(name)).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(MachineError::io("reading FFmpeg's output files")(error)),
    }
}

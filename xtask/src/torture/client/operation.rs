//! The calls of a client.

use fastrand::Rng;

use super::super::file::{File, Kind};
use super::super::record::Video;
use super::Limits;

/// More than one part: a part has 16 MiB.
const IN_PARTS: u32 = 17 << 20;

/// A call, or with [`Operation::UploadParts`] the calls of an upload. It is repeated unchanged until its result is known.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Grant { name: String, file: File, in_parts: bool, key: String },
    Upload { video: usize },
    UploadParts { video: usize, etags: Vec<String> },
    Update { video: usize, revision: u32, key: String },
    Delete { video: usize, key: String },
    Play { video: usize, key: String },
    Look { video: usize },
}

impl Operation {
    /// The video that it is about; `None` for a new one.
    pub(super) fn video(&self) -> Option<usize> {
        match self {
            Self::Grant { .. } => None,
            Self::Upload { video }
            | Self::UploadParts { video, .. }
            | Self::Update { video, .. }
            | Self::Delete { video, .. }
            | Self::Play { video, .. }
            | Self::Look { video } => Some(*video),
        }
    }
}

/// Chooses the next call. `number` is that of the call, for its name and its idempotency key.
pub(super) fn choose(rng: &mut Rng, name: &str, number: u64, videos: &[Video], limits: &Limits) -> Operation {
    let is_due = |rng: &mut Rng, video: &Video| video.file.kind == Kind::Clip || rng.u32(0..10) < 6;
    let waiting = videos.iter().rposition(Video::awaits_upload);
    if let Some(video) = waiting.filter(|video| is_due(rng, &videos[*video]) && limits.take_upload()) {
        return if videos[video].grant.get("multipart").is_some_and(|multipart| !multipart.is_null()) {
            Operation::UploadParts { video, etags: Vec::new() }
        } else {
            Operation::Upload { video }
        };
    }
    let key = format!("{name}-{number}");
    // Mostly a late one, because the early ones are ready or deleted.
    let late = videos.len().saturating_sub(30);
    let from = if rng.u32(0..4) == 0 { 0 } else { late };
    let present: Vec<usize> = (from..videos.len()).filter(|video| !videos[*video].is_deleted).collect();
    let Some(video) = rng.choice(&present).copied() else {
        return grant(rng, name, number, key, limits);
    };
    match rng.u32(0..100) {
        0..35 => grant(rng, name, number, key, limits),
        35..60 => Operation::Update { video, revision: u32::try_from(number).unwrap_or_default(), key },
        60..68 if videos[video].version.is_some() => Operation::Delete { video, key },
        68..78 => {
            let clips =
                videos.iter().enumerate().filter(|(_, it)| it.has_source() && it.file.kind == Kind::Clip);
            let clips: Vec<usize> = clips.map(|(video, _)| video).collect();
            rng.choice(&clips).map_or(Operation::Look { video }, |clip| Operation::Play { video: *clip, key })
        }
        _ => Operation::Look { video },
    }
}

fn grant(rng: &mut Rng, name: &str, number: u64, key: String, limits: &Limits) -> Operation {
    let in_parts = limits.take_upload_in_parts();
    let kind = if in_parts || limits.take_clip() { Kind::Clip } else { Kind::Noise };
    let random = if in_parts { IN_PARTS + rng.u32(0..100_000) } else { rng.u32(1..200_000) };
    let file = File { kind, seed: rng.u64(..), random };
    Operation::Grant { name: format!("{name}-{number}.mp4"), file, in_parts, key }
}

//! Keys, event notifications and outputs of test videos in the project `acme`.

use streamio_events::id::{ProjectId, VideoId};
use streamio_events::media::{MediaSource, Outputs};
use streamio_events::object_key::SourceKey;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use crate::uploads::CreatedObject;

/// Returns the source key of the file `name` in the project `acme`.
pub fn key(name: &str) -> SourceKey {
    format!("projects/acme/{name}").parse().unwrap()
}

/// Returns the ids of the video of [`key`].
pub fn ids(name: &str) -> (ProjectId, VideoId) {
    ("acme".parse().unwrap(), VideoId::of(&key(name)))
}

/// Returns the stream of the video of [`key`].
pub fn stream(name: &str) -> StreamId {
    let (project_id, video_id) = ids(name);
    StreamId::Video(project_id, video_id)
}

/// Returns the time at which regions begin and objects are created.
pub fn start_time() -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000)
}

/// Returns an event notification about the object [`key`], of 10 bytes, without a version, created at [`start_time`], with an entity tag
/// derived from `sequencer`.
pub fn notification(name: &str, sequencer: &str) -> CreatedObject {
    CreatedObject {
        key: format!("projects/acme/{name}"),
        bytes: 10,
        etag: format!("etag-{sequencer}"),
        sequencer: sequencer.to_owned(),
        version_id: None,
        created_at: start_time(),
    }
}

/// Returns [`notification`] with a version derived from `sequencer`.
pub fn version(name: &str, sequencer: &str) -> CreatedObject {
    CreatedObject { version_id: Some(format!("v-{sequencer}")), ..notification(name, sequencer) }
}

/// Returns the properties of an audio file of 2 seconds.
pub fn source() -> MediaSource {
    MediaSource {
        duration_seconds: 2.0,
        width: None,
        height: None,
        rotation: 0,
        frame_rate: None,
        video_codec: None,
        audio_codec: Some("aac".to_owned()),
        bytes: 10,
        warnings: Vec::new(),
    }
}

/// Returns the outputs of the video of [`key`].
pub fn outputs(name: &str) -> Outputs {
    let processed = key(name).processed();
    Outputs { hls_key: processed.hls_master(), poster_key: None, mp4_key: processed, renditions: vec![] }
}

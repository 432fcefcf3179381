use streamio_events::home::VideoFilter;
use streamio_events::id::VideoId;
use streamio_events::media::{MediaSource, VideoError};
use streamio_events::object_key::SourceKey;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{Phase, Policy, Upload, Video, VideoStatus};

use crate::ports::view_store::{VideoRow, ViewStore};

/// The due time of rows in the phase [`uploaded`], in milliseconds.
pub(super) const DUE_MILLIS: i64 = 10_000;

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

/// Returns a row of the video `name`, created at `created` milliseconds.
pub(super) fn row(project: &str, name: &str, version: u64, created: i64, phase: Phase) -> VideoRow {
    let s3_key: SourceKey = format!("projects/{project}/{name}").parse().expect("test names are object keys");
    let mut video = Video::new(project.parse().expect("test names are project ids"), VideoId::of(&s3_key));
    video.s3_key = Some(s3_key);
    video.version = version;
    video.created_at = at(created);
    video.updated_at = at(created);
    video.phase = phase;
    VideoRow::of(video, &Policy::new("raw", "processed"))
}

/// Returns a row with a value in every field, including numbers and characters that a store could change.
pub(super) fn full_row() -> VideoRow {
    let mut video = row("acme", "Ünï\u{1F3AC} 'clip'; --.mp4", 7, 1_767_323_045_678, Phase::Ready).video;
    video.generation = 2;
    video.attempt = 3;
    video.upload = Some(Upload {
        bytes: (1 << 53) - 1,
        etag: "9b2cf535f27731c974343645a3985328".to_owned(),
        version_id: Some("3HL4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY".to_owned()),
    });
    video.source = Some(MediaSource {
        // Neither number has a short binary representation.
        duration_seconds: 0.1 + 0.2,
        frame_rate: Some(30_000.0 / 1001.0),
        width: Some(1920),
        height: Some(1080),
        rotation: 90,
        video_codec: Some("h264".to_owned()),
        audio_codec: None,
        bytes: 5,
        warnings: Vec::new(),
    });
    video.metadata = [("title".to_owned(), "\"\\\u{0}\u{2028}".to_owned())].into();
    VideoRow::of(video, &Policy::new("raw", "processed"))
}

pub(super) fn uploaded() -> Phase {
    Phase::Uploaded { at: at(DUE_MILLIS) }
}

/// The phase of an attempt whose worker was last heard at `millis`.
pub(super) fn started(millis: i64) -> Phase {
    Phase::Started { task: "task".to_owned(), last_heartbeat_at: at(millis) }
}

/// How many different phases [`phase`] returns.
pub(super) const PHASES: u64 = 5;

/// Returns one of the phases ready, uploaded, errored, deleted and expired.
pub(super) fn phase(number: u64) -> Phase {
    match number % PHASES {
        0 => Phase::Ready,
        1 => uploaded(),
        2 => Phase::Errored { error: VideoError::permanent("not_media", "no") },
        3 => Phase::Deleted,
        _ => Phase::Expired,
    }
}

/// Returns a whole list, read in pages of `limit`.
pub(super) async fn all_pages(
    store: &impl ViewStore,
    project: &str,
    filter: &VideoFilter,
    limit: usize,
) -> Vec<VideoStatus> {
    let project = project.parse().expect("test names are project ids");
    let (mut videos, mut after): (Vec<VideoStatus>, Option<String>) = (Vec::new(), None);
    loop {
        let page = store.list(&project, filter, after.as_deref(), limit).await.expect("the list can be read");
        assert!(page.videos.len() <= limit, "a page of {} for limit {limit}", page.videos.len());
        videos.extend(page.videos);
        after = page.next;
        if after.is_none() {
            return videos;
        }
    }
}

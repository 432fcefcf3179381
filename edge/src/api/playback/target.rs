use serde::Serialize;
use streamio_events::object_key::ProcessedKey;

/// The resource that a playback URL opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) enum Target {
    /// One file.
    File(ProcessedKey),
    /// The adaptive stream of the video whose MP4 has this key: its master playlist and all files beside it.
    Stream(ProcessedKey),
}

/// The requested form of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// The file itself.
    Mp4,
    /// The adaptive stream.
    Hls,
}

const MASTER: &str = ".hls/master.m3u8";

impl Target {
    /// The target of `key` and `format`; an error states what is wrong with the format.
    pub(super) fn of(key: &ProcessedKey, format: Option<Format>) -> Result<Self, &'static str> {
        match (format, video_of_master(key)) {
            (None | Some(Format::Hls), Some(video)) => Ok(Self::Stream(video)),
            (Some(Format::Mp4), Some(_)) => Err("cannot be mp4: `key` names an HLS playlist"),
            (None | Some(Format::Mp4), None) => Ok(Self::File(key.clone())),
            (Some(Format::Hls), None) if is_beside_a_video(key) => {
                Err("cannot be hls: `key` names neither a video's MP4 nor its master playlist")
            }
            (Some(Format::Hls), None) => Ok(Self::Stream(key.clone())),
        }
    }

    /// The form in records: the file's key, or the stream's folder and `*`.
    pub(super) fn resource(&self) -> String {
        match self {
            Self::File(key) => key.to_string(),
            Self::Stream(video) => format!("{}*", video.hls_prefix()),
        }
    }

    /// The target that was recorded as `resource` for the key `key`; `None` if it is none of the key's project.
    pub(super) fn recorded(key: &ProcessedKey, resource: &str) -> Option<Self> {
        if resource == key.as_str() {
            return Some(Self::File(key.clone()));
        }
        let video: ProcessedKey = resource.strip_suffix(".hls/*")?.parse().ok()?;
        (video.project_id() == key.project_id()).then_some(Self::Stream(video))
    }
}

/// The video whose master playlist `key` names.
fn video_of_master(key: &ProcessedKey) -> Option<ProcessedKey> {
    key.as_str().strip_suffix(MASTER)?.parse().ok()
}

/// Whether `key` is in a generated folder beside a video. Uploads cannot have such names.
#[expect(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "keys are case-sensitive, and these names are generated here"
)]
fn is_beside_a_video(key: &ProcessedKey) -> bool {
    key.as_str().split('/').any(|segment| segment.ends_with(".hls") || segment.ends_with(".images"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> ProcessedKey {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_and_a_format_select_a_file_or_a_stream() {
        let video = key("processed/acme/a/clip.MOV");
        let stream = Ok(Target::Stream(video.clone()));
        assert_eq!(Target::of(&video, None), Ok(Target::File(video.clone())));
        assert_eq!(Target::of(&video, Some(Format::Mp4)), Ok(Target::File(video.clone())));
        assert_eq!(Target::of(&video, Some(Format::Hls)), stream);
        assert_eq!(Target::of(&video.hls_master(), None), stream);
        assert_eq!(Target::of(&video.hls_master(), Some(Format::Hls)), stream);
        assert!(Target::of(&video.hls_master(), Some(Format::Mp4)).is_err());
        assert_eq!(Target::of(&video.poster(), None), Ok(Target::File(video.poster())));
        assert!(Target::of(&video.poster(), Some(Format::Hls)).is_err());
        let segment = key("processed/acme/a/clip.MOV.hls/g1-a1/1.m4s");
        assert_eq!(Target::of(&segment, None), Ok(Target::File(segment.clone())));
        assert!(Target::of(&segment, Some(Format::Hls)).is_err());
        let nameless = key("processed/acme/.hls/master.m3u8");
        assert_eq!(Target::of(&nameless, None), Ok(Target::File(nameless)));
    }

    #[test]
    fn a_recorded_target_is_read_as_the_same_target() {
        for text in [
            "processed/acme/a",
            "processed/acme/*",
            "processed/acme/a.hls/*",
            "processed/acme/a.hls/master.m3u8",
        ] {
            for format in [None, Some(Format::Mp4), Some(Format::Hls)] {
                if let Ok(target) = Target::of(&key(text), format) {
                    assert_eq!(Target::recorded(&key(text), &target.resource()), Some(target));
                }
            }
        }
        assert_eq!(Target::recorded(&key("processed/acme/a"), "processed/other/a.hls/*"), None);
        assert_eq!(Target::recorded(&key("processed/acme/a"), "processed/acme/b"), None);
    }
}

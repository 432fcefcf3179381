//! How videos and their events are printed.

use serde_json::Value;
use streamio_events::media::{MediaSource, Rendition};
use streamio_events::video::{VideoState, VideoStatus};

use crate::output::{fields, size};

/// An event's data in one line. Nested values are left out, except an error's message.
pub(super) fn event_data(data: &Value) -> String {
    let Some(data) = data.as_object() else { return String::new() };
    data.iter()
        .filter_map(|(name, value)| match value {
            Value::String(text) => Some(format!("{name}={text}")),
            Value::Number(_) | Value::Bool(_) => Some(format!("{name}={value}")),
            Value::Object(inner) => {
                inner.get("message").and_then(Value::as_str).map(|text| format!("{name}={text}"))
            }
            Value::Array(_) | Value::Null => None,
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// A video's status as text.
pub(super) fn describe(status: &VideoStatus) -> String {
    let state = match status.state {
        VideoState::Processing => format!("processing {} %", status.progress),
        state => state.as_str().to_owned(),
    };
    let metadata: Vec<_> = status.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let outputs = status.outputs.as_ref();
    fields(&[
        ("Video", Some(status.video_id.to_string())),
        ("State", Some(state)),
        (
            "Error",
            status
                .error
                .as_ref()
                .map(|error| format!("{} ({})", error.message.trim_end_matches('.'), error.code)),
        ),
        ("Warning", warnings(status)),
        ("Upload by", status.expires_at.map(|time| time.to_string())),
        ("Source key", Some(status.s3_key.to_string())),
        ("Source", status.source.as_ref().map(media)),
        (
            "Renditions",
            outputs.map(|outputs| outputs.renditions.iter().map(rendition).collect::<Vec<_>>().join(", ")),
        ),
        ("HLS key", outputs.map(|outputs| outputs.hls_key.to_string())),
        ("MP4 key", outputs.map(|outputs| outputs.mp4_key.to_string())),
        ("Poster key", outputs.and_then(|outputs| outputs.poster_key.as_ref()).map(ToString::to_string)),
        ("Metadata", (!metadata.is_empty()).then(|| metadata.join(", "))),
        ("Upload", Some(format!("generation {}, attempt {}", status.generation, status.attempt))),
        ("Created", Some(status.created_at.to_string())),
        ("Updated", Some(status.updated_at.to_string())),
    ])
}

fn warnings(status: &VideoStatus) -> Option<String> {
    let warnings = &status.source.as_ref()?.warnings;
    let texts = warnings
        .iter()
        .map(|warning| format!("{} ({})", warning.message.trim_end_matches('.'), warning.code));
    (!warnings.is_empty()).then(|| texts.collect::<Vec<_>>().join("; "))
}

fn media(source: &MediaSource) -> String {
    let mut parts = vec![format!("{:.1} s", source.duration_seconds)];
    if let (Some(width), Some(height)) = (source.width, source.height) {
        parts.push(format!("{width}x{height}"));
    }
    parts.extend(source.frame_rate.map(|rate| format!("{} fps", (rate * 100.0).round() / 100.0)));
    parts.extend(source.video_codec.clone());
    parts.push(source.audio_codec.clone().unwrap_or_else(|| "no audio".to_owned()));
    parts.push(size(source.bytes));
    parts.join(", ")
}

fn rendition(rendition: &Rendition) -> String {
    let kind = rendition.height.map_or_else(|| "audio".to_owned(), |height| format!("{height}p"));
    format!("{kind} ({} kbit/s)", rendition.bandwidth / 1000)
}

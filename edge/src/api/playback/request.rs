use serde::Serialize;
use streamio_events::id::ProjectId;
use streamio_events::nfc::to_nfc;
use streamio_events::object_key::ProcessedKey;
use streamio_events::timestamp::Timestamp;

use super::target::{Format, Target};
use super::terms::Terms;
use crate::config::Lifetime;
use crate::problem::{Problem, ProblemKind};
use crate::request::{Fields, Query};

/// A validated request to `POST /playback-url`. Two requests are the same if they serialize alike.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct PlaybackRequest {
    pub(super) key: ProcessedKey,
    pub(super) target: Target,
    #[serde(flatten)]
    pub(super) terms: Terms,
}

impl PlaybackRequest {
    pub(super) fn read(
        mut query: Query,
        mut fields: Fields,
        project_id: &ProjectId,
        bounds: Lifetime,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let key = query.take("key");
        query.finish()?;
        let key = own_key(key.as_deref(), project_id)?;

        let terms = Terms::take(&mut fields, bounds, now);
        let format = fields.text("format").and_then(|text| fields.checked("format", format_named(&text)));
        let target = fields.checked("format", Target::of(&key, format));
        let request = target.map(|target| Self { key, target, terms });
        fields.finish()?;
        request.ok_or_else(|| Problem::internal("a format without a target was not refused"))
    }
}

/// The key in NFC, the form of all keys, if it is a key of this project.
fn own_key(key: Option<&str>, project_id: &ProjectId) -> Result<ProcessedKey, Problem> {
    let own_prefix = format!("processed/{project_id}/");
    let Some(key) = key else {
        return Err(Problem::parameter(
            "key",
            format!("is missing: give an object key that begins with `{own_prefix}`"),
        ));
    };
    let parsed = to_nfc(key).parse::<ProcessedKey>();
    if parsed.as_ref().is_ok_and(|key| key.project_id() != project_id) {
        let detail = format!("is not of your project: its keys begin with `{own_prefix}`");
        return Err(Problem::at_field(ProblemKind::ForbiddenKey, "key", detail));
    }
    parsed.map_err(|error| Problem::parameter("key", error.to_string()))
}

fn format_named(text: &str) -> Result<Format, &'static str> {
    match text {
        "mp4" => Ok(Format::Mp4),
        "hls" => Ok(Format::Hls),
        _ => Err("must be mp4 or hls"),
    }
}

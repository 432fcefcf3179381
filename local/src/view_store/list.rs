//! Lists of videos: their queries and cursors.

use rusqlite::types::Value;
use streamio_core::ports::view_store::ViewStoreError;
use streamio_events::home::VideoFilter;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::video::{VideoState, VideoStatus};

/// The query of at most `limit + 1` rows after `after`, and its parameters. With metadata, the videos that have the first entry are
/// read from an index in the list's order; other conditions are checked row by row.
pub(super) fn list_query(
    project_id: &ProjectId,
    filter: &VideoFilter,
    after: Cursor,
    limit: usize,
) -> (String, Vec<Value>) {
    let mut parameters =
        vec![Value::from(project_id.to_string()), Value::from(after.created_at), Value::from(after.video_id)];
    let mut parameter = |value: Value| {
        parameters.push(value);
        format!("?{}", parameters.len())
    };
    let mut entries = filter.metadata.iter();
    let (source, order) = match entries.next() {
        None => ("videos AS v WHERE v.project_id = ?1".to_owned(), "v"),
        Some((name, value)) => {
            let (name, value) = (parameter(name.clone().into()), parameter(value.clone().into()));
            let source = format!(
                "video_metadata AS m CROSS JOIN videos AS v ON v.project_id = m.project_id AND v.video_id = m.video_id
                 WHERE m.project_id = ?1 AND m.name = {name} AND m.value = {value}"
            );
            (source, "m")
        }
    };
    let mut query = format!(
        "SELECT v.project_id, v.video_id, v.row FROM {source} AND ({order}.created_at, {order}.video_id) < (?2, ?3)"
    );
    match filter.state {
        Some(state) => {
            let state = parameter(state.as_str().to_owned().into());
            query.extend([" AND v.state = ", &state]);
        }
        None => query.push_str(" AND v.state IS NOT NULL AND v.state NOT IN ('expired', 'deleted')"),
    }
    if let Some(prefix) = &filter.prefix {
        let prefix = parameter(format!("projects/{project_id}/{prefix}").into());
        query += &[" AND substr(v.s3_key, 1, length(", &prefix, ")) = ", &prefix].concat();
    }
    for (name, value) in entries {
        let (name, value) = (parameter(name.clone().into()), parameter(value.clone().into()));
        let condition = format!(
            " AND EXISTS (SELECT 1 FROM video_metadata AS e WHERE e.project_id = ?1 AND e.name = {name}
                AND e.value = {value} AND e.created_at = v.created_at AND e.video_id = v.video_id)"
        );
        query += &condition;
    }
    let limit = parameter(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1).into());
    let page = format!(" ORDER BY {order}.created_at DESC, {order}.video_id DESC LIMIT {limit}");
    query += &page;
    (query, parameters)
}

/// The name of a list: `{project}.{state}`, or `{project}.` for all videos that are neither expired nor deleted.
pub(super) fn list_name(project_id: &ProjectId, state: Option<VideoState>) -> String {
    format!("{project_id}.{}", state.map_or("", VideoState::as_str))
}

/// A position in a list, `{list}.{created_at}.{video_id}`. It is valid only for its list, with any prefix and metadata.
pub(super) struct Cursor {
    created_at: i64,
    video_id: String,
}

impl Cursor {
    pub(super) const NEWEST: Self = Self { created_at: i64::MAX, video_id: String::new() };

    pub(super) fn of(status: &VideoStatus) -> Self {
        Self { created_at: status.created_at.unix_millis(), video_id: status.video_id.to_string() }
    }

    pub(super) fn parse(list: &str, text: &str) -> Result<Self, ViewStoreError> {
        let parse = || {
            let (created_at, video_id) = text.strip_prefix(list)?.strip_prefix('.')?.split_once('.')?;
            let (created_at, video_id): (_, VideoId) = (created_at.parse().ok()?, video_id.parse().ok()?);
            Some(Self { created_at, video_id: video_id.to_string() })
        };
        // A number has several texts; a cursor has one.
        parse().filter(|cursor| cursor.text(list) == text).ok_or(ViewStoreError::InvalidCursor)
    }

    pub(super) fn text(&self, list: &str) -> String {
        format!("{list}.{}.{}", self.created_at, self.video_id)
    }
}

/// The cursor `text` of `list` as this store prints it; `None` if it is none.
#[cfg(feature = "testing")]
pub(crate) fn reprint_cursor(list: &str, text: &str) -> Option<String> {
    Cursor::parse(list, text).ok().map(|cursor| cursor.text(list))
}

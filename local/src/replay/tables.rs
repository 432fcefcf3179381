//! The tables of views, and the values in them.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Row, ToSql};

use super::options::View;

/// A table of a view.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// The columns of its key.
    pub(super) key: &'static [&'static str],
    /// The other columns that the log determines.
    pub(super) columns: &'static [&'static str],
}

/// The JSON of a video without the time at which the sweep looks at it, which depends on the platform's options.
const VIDEO: &str = "CASE WHEN json_valid(row) THEN json_remove(row, '$.dueAt') ELSE row END";

/// Without `due_at`, which the sweep sets, too.
const VIDEOS: Table = Table {
    name: "videos",
    key: &["project_id", "video_id"],
    columns: &["version", "state", "s3_key", "created_at", "urgency", "slot", "row"],
};
const VIDEO_METADATA: Table = Table {
    name: "video_metadata",
    key: &["project_id", "video_id", "name", "value", "created_at"],
    columns: &[],
};
const DELIVERIES: Table = Table {
    name: "deliveries",
    key: &["project_id", "webhook_id", "message_id"],
    columns: &["version", "state", "message_type", "video_id", "scheduled_at", "due_at", "row"],
};
const RECEIVING_ENDPOINTS: Table = Table {
    name: "receiving_endpoints",
    key: &["project_id", "webhook_id"],
    columns: &["version", "is_receiving"],
};
const REPLAYS: Table =
    Table { name: "replays", key: &["project_id", "webhook_id"], columns: &["version", "active"] };
const USAGE: Table = Table { name: "usage", key: &["project_id", "day", "name"], columns: &["amount"] };

impl View {
    /// The tables of the view. The first one has its rows.
    pub(super) fn tables(self) -> &'static [Table] {
        const STATUS: &[Table] = &[VIDEOS, VIDEO_METADATA];
        const WEBHOOKS: &[Table] = &[DELIVERIES, RECEIVING_ENDPOINTS, REPLAYS];
        const COUNTERS: &[Table] = &[USAGE];
        match self {
            Self::Status => STATUS,
            Self::Webhooks => WEBHOOKS,
            Self::Usage => COUNTERS,
        }
    }

    /// What the names of the streams begin with from which the view is computed; none if it is computed from all.
    pub(super) fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Status => &["video/"],
            Self::Webhooks => &["delivery/", "replays/", "webhooks/"],
            Self::Usage => &[],
        }
    }

    /// The consumer whose position is that of the live view.
    pub(super) fn consumer(self) -> &'static str {
        match self {
            Self::Status | Self::Webhooks => "views",
            Self::Usage => "usage",
        }
    }
}

impl Table {
    /// The query of all rows in the order of their keys: first the key, then the other columns.
    pub(super) fn query(&self) -> String {
        let key = self.key.join(", ");
        let columns = self.columns.iter().map(|column| self.expression(column));
        let selected = self.key.iter().copied().chain(columns).collect::<Vec<_>>().join(", ");
        format!("SELECT {selected} FROM {} ORDER BY {key}", self.name)
    }

    fn expression(&self, column: &'static str) -> &'static str {
        if self.name == "videos" && column == "row" { VIDEO } else { column }
    }

    /// The condition that selects the row with a key.
    pub(super) fn condition(&self) -> String {
        let parts: Vec<String> =
            self.key.iter().enumerate().map(|(at, column)| format!("{column} = ?{}", at + 1)).collect();
        parts.join(" AND ")
    }

    /// The stream that a row with this key is computed from, or for `usage` the project and the day.
    pub(super) fn unit(&self, key: &[Cell]) -> String {
        let text = |at: usize| key.get(at).map(Cell::text).unwrap_or_default();
        match self.name {
            "videos" | "video_metadata" => format!("video/{}/{}", text(0), text(1)),
            "deliveries" => format!("delivery/{}/{}/{}", text(0), text(1), text(2)),
            "receiving_endpoints" => format!("webhooks/{}", text(0)),
            "replays" => format!("replays/{}/{}", text(0), text(1)),
            _ => format!("{}/{}", text(0), text(1)),
        }
    }
}

/// A value of a row. The order is SQLite's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cell {
    Null,
    Integer(i64),
    Text(Vec<u8>),
}

impl Cell {
    fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Self::Text(bytes.to_vec()),
            // The tables are strict and have no column of real numbers.
            ValueRef::Real(number) => Self::Text(number.to_string().into_bytes()),
        }
    }

    /// The cells of a row.
    pub(super) fn all(row: &Row<'_>, count: usize) -> rusqlite::Result<Vec<Self>> {
        (0..count).map(|column| row.get_ref(column).map(Self::of)).collect()
    }

    /// The value as text.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Integer(number) => number.to_string(),
            Self::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        }
    }

    /// Calls `add` with bytes that no other value has.
    pub(super) fn encode(&self, mut add: impl FnMut(&[u8])) {
        match self {
            Self::Null => add(&[0]),
            Self::Integer(number) => {
                add(&[1]);
                add(&number.to_be_bytes());
            }
            Self::Text(bytes) => {
                add(&[2]);
                add(&(bytes.len() as u64).to_be_bytes());
                add(bytes);
            }
        }
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Text(bytes) => ToSqlOutput::Borrowed(ValueRef::Text(bytes)),
        })
    }
}

//! Rows in which a live view differs from the rebuilt one.

use serde::Serialize;

use super::tables::{Cell, Table};

/// How a row of the live view differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DifferenceKind {
    /// It has other values.
    Changed,
    /// It is not there.
    Missing,
    /// It does not follow from the log.
    Added,
}

impl DifferenceKind {
    /// The name of the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Added => "added",
        }
    }
}

/// A row in which the live view differs from the rebuilt one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// The key of the row.
    pub key: Vec<String>,
    /// How it differs.
    pub kind: DifferenceKind,
    /// The columns that differ, of a changed row.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<&'static str>,
    /// The stream from which it is computed, or for `usage` the project and the day.
    #[serde(skip)]
    pub(super) unit: String,
    #[serde(skip)]
    pub(super) cells: Vec<Cell>,
}

impl Difference {
    pub(super) fn new(table: &Table, kind: DifferenceKind, key: &[Cell], columns: Vec<&'static str>) -> Self {
        Self {
            table: table.name,
            key: key.iter().map(Cell::text).collect(),
            kind,
            columns,
            unit: table.unit(key),
            cells: key.to_vec(),
        }
    }
}

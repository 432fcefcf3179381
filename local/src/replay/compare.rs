//! Compares a live view with a rebuilt one: both are read in the order of keys.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use rusqlite::Statement;
use sha2::{Digest as _, Sha256};

use super::differences::{Difference, DifferenceKind};
use super::error::ReplayError;
use super::file::RebuiltView;
use super::live::LiveView;
use super::options::View;
use super::scope::Scope;
use super::tables::{Cell, Table};

/// The result of a comparison.
#[derive(Debug)]
pub(super) struct Comparison {
    /// The SHA-256 of the rebuilt rows.
    pub(super) rebuilt: String,
    /// The SHA-256 of the live rows; `None` without a live view.
    pub(super) live: Option<String>,
    /// The number of rebuilt rows of the view's first table.
    pub(super) rows: u64,
    /// The rows that differ, by table and in the order of keys.
    pub(super) differences: Vec<Difference>,
}

/// The hash over the rows of a view, and their number.
struct Hash {
    sha256: Sha256,
    rows: u64,
}

impl Hash {
    fn new() -> Self {
        Self { sha256: Sha256::new(), rows: 0 }
    }

    fn begin(&mut self, table: &Table) {
        self.sha256.update(table.name.as_bytes());
        self.sha256.update([0]);
    }

    fn add(&mut self, row: &[Cell]) {
        self.rows += 1;
        for cell in row {
            cell.encode(|bytes| self.sha256.update(bytes));
        }
    }

    fn text(self) -> String {
        data_encoding::HEXLOWER.encode(&self.sha256.finalize())
    }
}

/// The rows of a table that are in a scope, in the order of keys.
struct ScopedRows<'a> {
    table: &'a Table,
    scope: &'a Scope,
    rows: rusqlite::Rows<'a>,
}

impl<'a> ScopedRows<'a> {
    fn of(statement: &'a mut Statement<'_>, table: &'a Table, scope: &'a Scope) -> rusqlite::Result<Self> {
        Ok(Self { table, scope, rows: statement.query([])? })
    }

    /// The next row, which is added to `hash`.
    fn next(&mut self, hash: &mut Hash) -> rusqlite::Result<Option<Vec<Cell>>> {
        let Self { table, scope, rows } = self;
        while let Some(row) = rows.next()? {
            let row = Cell::all(row, table.key.len() + table.columns.len())?;
            if scope.has(table, &row) {
                hash.add(&row);
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

/// Compares the rows that are in `scope`.
pub(super) fn compare(
    view: View,
    live: &LiveView,
    rebuilt: &RebuiltView,
    scope: &Scope,
) -> Result<Comparison, ReplayError> {
    let of_rebuilt = |error| rebuilt.failed(error);
    let of_live = |error| live.failed(error);
    let (mut rebuilt_hash, mut live_hash) = (Hash::new(), Hash::new());
    let (mut rows, mut differences) = (0, Vec::new());
    for (index, table) in view.tables().iter().enumerate() {
        rebuilt_hash.begin(table);
        live_hash.begin(table);
        let mut statement = rebuilt.connection.prepare(&table.query()).map_err(of_rebuilt)?;
        let mut rebuilt_rows = ScopedRows::of(&mut statement, table, scope).map_err(of_rebuilt)?;
        let mut statement = live.connection.prepare(&table.query()).map_err(of_live)?;
        let mut live_rows = ScopedRows::of(&mut statement, table, scope).map_err(of_live)?;
        let mut expected = rebuilt_rows.next(&mut rebuilt_hash).map_err(of_rebuilt)?;
        let mut found = live_rows.next(&mut live_hash).map_err(of_live)?;
        loop {
            let order = match (&expected, &found) {
                (None, None) => break,
                (Some(expected), None) => {
                    differences.push(difference(table, DifferenceKind::Missing, expected));
                    Ordering::Less
                }
                (None, Some(found)) => {
                    differences.push(difference(table, DifferenceKind::Added, found));
                    Ordering::Greater
                }
                (Some(expected), Some(found)) => {
                    let order = expected[..table.key.len()].cmp(&found[..table.key.len()]);
                    differences.extend(match order {
                        Ordering::Less => Some(difference(table, DifferenceKind::Missing, expected)),
                        Ordering::Equal => changed(table, expected, found),
                        Ordering::Greater => Some(difference(table, DifferenceKind::Added, found)),
                    });
                    order
                }
            };
            if order.is_le() {
                expected = rebuilt_rows.next(&mut rebuilt_hash).map_err(of_rebuilt)?;
            }
            if order.is_ge() {
                found = live_rows.next(&mut live_hash).map_err(of_live)?;
            }
        }
        if index == 0 {
            rows = rebuilt_hash.rows;
        }
    }
    Ok(Comparison { rebuilt: rebuilt_hash.text(), live: Some(live_hash.text()), rows, differences })
}

/// The hash of the rows of a view without a live one, and their number.
pub(super) fn without_live(view: View, rebuilt: &RebuiltView) -> Result<Comparison, ReplayError> {
    let (mut hash, mut rows) = (Hash::new(), 0);
    let mut read = || -> rusqlite::Result<()> {
        for (index, table) in view.tables().iter().enumerate() {
            hash.begin(table);
            let mut statement = rebuilt.connection.prepare(&table.query())?;
            let scope = Scope::default();
            let mut all = ScopedRows::of(&mut statement, table, &scope)?;
            while all.next(&mut hash)?.is_some() {}
            if index == 0 {
                rows = hash.rows;
            }
        }
        Ok(())
    };
    read().map_err(|error| rebuilt.failed(error))?;
    Ok(Comparison { rebuilt: hash.text(), live: None, rows, differences: Vec::new() })
}

fn difference(table: &Table, kind: DifferenceKind, row: &[Cell]) -> Difference {
    Difference::new(table, kind, &row[..table.key.len()], Vec::new())
}

fn changed(table: &Table, rebuilt: &[Cell], live: &[Cell]) -> Option<Difference> {
    if rebuilt == live {
        return None;
    }
    let (key, values) = rebuilt.split_at(table.key.len());
    let columns = table.columns.iter().zip(values).zip(&live[table.key.len()..]);
    let columns = columns.filter(|((_, one), other)| one != other).map(|((column, _), _)| *column).collect();
    Some(Difference::new(table, DifferenceKind::Changed, key, columns))
}

/// The differences by the stream, or the project and the day, that they are computed from.
pub(super) fn by_unit(differences: &[Difference]) -> BTreeMap<&str, Vec<&Difference>> {
    let mut units: BTreeMap<&str, Vec<&Difference>> = BTreeMap::new();
    for difference in differences {
        units.entry(&difference.unit).or_default().push(difference);
    }
    units
}

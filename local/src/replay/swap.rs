//! Replaces the rows of a live view that differ from the rebuilt ones.

use rusqlite::OptionalExtension as _;

use super::compare::by_unit;
use super::differences::{Difference, DifferenceKind};
use super::engine::{Engine, Reached};
use super::error::ReplayError;
use super::file::{delete_rows, set_counter, write_rows};
use super::live::LiveView;
use super::options::View;
use super::stream_rows::{Limit, fold};
use super::tables::Table;

/// How many units are replaced in one transaction. Meanwhile the platform cannot write the view, and what waits to read it waits, too.
const UNITS: usize = 64;

/// The rows of a unit that differ.
type OfUnit<'a> = (&'a str, Vec<&'a Difference>);

/// Replaces the rows that differ. Those of one unit are replaced together, as of the position that the live view then has.
pub(super) fn swap(
    engine: &Engine<'_>,
    live: &LiveView,
    differences: &[Difference],
    reached: &mut Reached,
) -> Result<(), ReplayError> {
    let units: Vec<OfUnit<'_>> = by_unit(differences).into_iter().collect();
    for units in units.chunks(UNITS) {
        engine.check_stopped()?;
        live.execute("BEGIN IMMEDIATE")?;
        let replaced = replace(engine, live, units, reached);
        live.execute(if replaced.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        replaced?;
    }
    Ok(())
}

fn replace(
    engine: &Engine<'_>,
    live: &LiveView,
    units: &[OfUnit<'_>],
    reached: &mut Reached,
) -> Result<(), ReplayError> {
    engine.follow(live, reached)?;
    let Reached { position, ref mut scope, .. } = *reached;
    for (unit, differences) in units {
        if !scope.has_unit(unit) {
            continue;
        }
        if engine.options.view == View::Usage {
            for difference in differences {
                replace_counter(engine, live, difference)?;
            }
            continue;
        }
        // Rows whose key names no stream of the log.
        for difference in differences.iter().filter(|it| it.kind == DifferenceKind::Added) {
            let table = table_of(engine.options.view, difference);
            live.delete(table.name, &table.condition(), &difference.cells)?;
        }
        // A row that the platform has brought further stays at its version, and any other one gets that of the position.
        let folded = match engine.aligned(live, unit, position)? {
            Some(folded) => folded,
            None => fold(&engine.reader, &engine.policy, unit, Limit::position(position))?,
        };
        if let Ok(rows) = &folded.rows {
            delete_rows(&live.connection, unit)
                .and_then(|()| write_rows(&live.connection, rows))
                .map_err(|error| live.failed(error))?;
        }
        engine.store(folded, scope)?;
    }
    Ok(())
}

fn table_of(view: View, difference: &Difference) -> &'static Table {
    let tables = view.tables();
    tables.iter().find(|table| table.name == difference.table).unwrap_or(&tables[0])
}

fn replace_counter(engine: &Engine<'_>, live: &LiveView, difference: &Difference) -> Result<(), ReplayError> {
    let query = "SELECT amount FROM usage WHERE project_id = ?1 AND day = ?2 AND name = ?3";
    let amount = engine
        .rebuilt
        .connection
        .prepare_cached(query)
        .and_then(|mut it| {
            it.query_row(rusqlite::params_from_iter(&difference.cells), |row| row.get(0)).optional()
        })
        .map_err(|error| engine.rebuilt.failed(error))?;
    set_counter(&live.connection, &difference.cells, amount).map_err(|error| live.failed(error))
}

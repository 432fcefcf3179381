//! `streamio dead-letters list`.

use clap::Args;
use serde_json::{Value, json};
use streamio_local::operator::{DeadLetterSummary, IfMissing};

use super::selection::Selection;
use crate::args::Target;
use crate::commands::platform::Platform;
use crate::exit::Failure;
use crate::output::{Output, table};

pub(super) const EXAMPLES: &str = "\
Examples:
  streamio dead-letters list
  streamio dead-letters list --function react,views --reason 'not available'
  streamio dead-letters list --aws --since 2026-01-02T00:00:00Z --json | jq -r '.data[] | [.function, .id] | @tsv'

On AWS dead letters are kept for 30 days.";

/// The longest part of a reason in the table, in characters. `show` has all of it.
const REASON_LENGTH: usize = 120;

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    target: Target,
}

/// Runs `streamio dead-letters list`.
pub(super) async fn run(arguments: List, output: Output) -> Result<(), Failure> {
    let platform = Platform::open(&arguments.target, IfMissing::Fail).await?;
    let selected = arguments.selection.read(&platform).await?;
    output.result(&json!({ "data": to_json(&selected) }), || text(&selected))
}

/// The dead letters as JSON.
pub(super) fn to_json(selected: &[DeadLetterSummary]) -> Vec<Value> {
    let one = |it: &DeadLetterSummary| json!({ "function": it.function, "id": it.id, "at": it.at, "reason": it.reason });
    selected.iter().map(one).collect()
}

/// The dead letters as a table.
pub(super) fn text(selected: &[DeadLetterSummary]) -> String {
    if selected.is_empty() {
        return "There are no such dead letters.".to_owned();
    }
    let rows = selected.iter().map(|it| {
        let reason: String = it.reason.chars().take(REASON_LENGTH).collect();
        let reason = if reason.len() < it.reason.len() { format!("{reason}…") } else { reason };
        [it.function.to_owned(), it.id.clone(), it.at.to_string(), reason]
    });
    table(["FUNCTION", "ID", "GIVEN UP", "REASON"], rows)
}

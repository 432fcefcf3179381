//! `streamio dead-letters redrive`.

use clap::Args;
use serde_json::json;
use streamio_local::operator::{DeadLetterSummary, IfMissing, Redriven};

use super::selection::Selection;
use super::{absent, function, list};
use crate::args::{Approval, Target};
use crate::commands::confirm::Change;
use crate::commands::platform::Platform;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::progress::{Progress, Unit};

pub(super) const EXAMPLES: &str = "\
Examples:
  streamio dead-letters redrive react 1042
  streamio dead-letters redrive --all --dry-run                       # what would be handled again
  streamio dead-letters redrive --all --function views --aws --yes

On one machine the running platform handles the records, on AWS the functions themselves do (lambda:InvokeFunction). The oldest comes first. \
A record that fails again keeps its dead letter. Exit code 0: all were handled; 1: some failed again; 3: there is no such dead letter.";

#[derive(Debug, Args)]
pub(crate) struct Redrive {
    /// The function that gave up
    #[arg(value_name = "FUNCTION", value_parser = function, requires = "id", required_unless_present = "all")]
    function: Option<&'static str>,
    /// The dead letter's id, as `list` prints it
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// All dead letters, or those that pass the filters
    #[arg(long, conflicts_with_all = ["function", "id"])]
    all: bool,
    /// Print what would be handled again, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    approval: Approval,
}

/// Runs `streamio dead-letters redrive`.
pub(super) async fn run(arguments: Redrive, output: Output) -> Result<(), Failure> {
    let Redrive { function, id, all, dry_run, selection, target, approval } = arguments;
    if !all && !selection.is_empty() {
        return Err(Failure::usage(
            "the filters select among all dead letters",
            "add --all in place of FUNCTION and ID",
        ));
    }
    let platform = Platform::open(&target, IfMissing::Fail).await?;
    let selected = match function.zip(id) {
        None => selection.read(&platform).await?,
        Some((function, id)) => {
            let found = platform.dead_letter(function, &id).await?.ok_or_else(|| absent(function, &id))?;
            vec![DeadLetterSummary { function, id, at: found.at, reason: found.reason }]
        }
    };
    if dry_run {
        return output.result(&json!({ "data": list::to_json(&selected) }), || list::text(&selected));
    }
    if !selected.is_empty() {
        let question = format!("Handle {} again?", counted(selected.len()));
        let subject = format!("the selection of {}", counted(selected.len()));
        let participle = "handled again";
        platform.approve(
            &approval,
            &Change { subject: &subject, verb: "handle again", participle, question: &question },
            output,
        )?;
    }
    let failed = redrive_each(&platform, &selected, output).await?;
    let handled = selected.len() - failed.len();
    output.result(&json!({ "handled": handled, "failed": list::to_json(&failed) }), || {
        let summary = format!("Handled {}", counted(handled));
        if failed.is_empty() { summary } else { format!("{summary}\n\n{}", list::text(&failed)) }
    })?;
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        format!("{} could not be handled and stay", counted(failed.len())),
        "remove the cause that the reason states, and try again",
    ))
}

/// Handles dead letters again, one after another: records of one stream may depend on each other. Returns those that failed, with the new
/// reason.
async fn redrive_each(
    platform: &Platform,
    selected: &[DeadLetterSummary],
    output: Output,
) -> Result<Vec<DeadLetterSummary>, Failure> {
    let shown = Output { quiet: output.quiet || selected.len() < 2, ..output };
    let progress = Progress::new(shown, "Redriving", Unit::Percent, 100);
    let mut failed = Vec::new();
    for (index, dead_letter) in selected.iter().enumerate() {
        match platform.redrive(dead_letter.function, &dead_letter.id).await {
            // What is absent was handled by another redrive meanwhile.
            Ok(Redriven::Handled | Redriven::Absent) => {}
            Ok(Redriven::Failed { reason }) => {
                failed.push(DeadLetterSummary { reason, ..dead_letter.clone() });
            }
            Err(failure) => {
                progress.finish();
                let (handled, left) = (index - failed.len(), selected.len() - index);
                return Err(failure.with("handled", handled).with("left", left));
            }
        }
        progress.set((index as u64 + 1) * 100 / selected.len() as u64);
    }
    progress.finish();
    Ok(failed)
}

/// A number of dead letters in words.
fn counted(count: usize) -> String {
    if count == 1 { "1 dead letter".to_owned() } else { format!("{count} dead letters") }
}

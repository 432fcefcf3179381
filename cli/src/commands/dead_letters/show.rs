//! `streamio dead-letters show`.

use clap::Args;
use serde_json::{Value, json};
use streamio_local::operator::IfMissing;

use super::{absent, function};
use crate::args::Target;
use crate::commands::platform::Platform;
use crate::exit::Failure;
use crate::output::{Output, fields, printable};

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The function that gave up
    #[arg(value_name = "FUNCTION", value_parser = function)]
    function: &'static str,
    /// The dead letter's id, as `list` prints it
    #[arg(value_name = "ID")]
    id: String,
    #[command(flatten)]
    target: Target,
}

/// Runs `streamio dead-letters show`.
pub(super) async fn run(arguments: Show, output: Output) -> Result<(), Failure> {
    let Show { function, id, target } = arguments;
    let platform = Platform::open(&target, IfMissing::Fail).await?;
    let found = platform.dead_letter(function, &id).await?.ok_or_else(|| absent(function, &id))?;
    let record: Option<Value> = serde_json::from_str(&found.payload).ok();
    let json = json!({
        "function": found.function,
        "id": found.id,
        "at": found.at,
        "reason": found.reason,
        "payload": record.clone().unwrap_or_else(|| found.payload.clone().into()),
    });
    output.result(&json, || {
        let facts = fields(&[
            ("Function", Some(found.function.to_owned())),
            ("Id", Some(found.id.clone())),
            ("Given up", Some(found.at.to_string())),
            ("Reason", Some(found.reason.clone())),
        ]);
        let pretty = record.and_then(|record| serde_json::to_string_pretty(&record).ok());
        let shown = pretty.unwrap_or_else(|| found.payload.clone());
        let shown: Vec<String> = shown.lines().map(printable).collect();
        format!("{facts}\n\n{}", shown.join("\n"))
    })
}

//! `streamio webhook list`.

use clap::Args;

use super::target::Target;
use super::text::{short_state, types};
use crate::commands::paging::text;
use crate::exit::Failure;
use crate::output::{Output, table};

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    target: Target,
}

/// Runs `streamio webhook list`. A project has few endpoints: the API returns them in one page.
pub(super) async fn run(arguments: List, output: Output) -> Result<(), Failure> {
    let page = arguments.target.open(output).await?.list().await?;
    output.result(&page, || {
        if page.data.is_empty() {
            return "There are no webhooks yet. Register an endpoint with `streamio webhook add URL`."
                .to_owned();
        }
        let rows = page.data.iter().map(|webhook| {
            let health = &webhook["health"];
            let error = match health["error"]["message"].as_str() {
                Some(message) => format!("{} {message}", text(health, "failedAt")),
                None => String::new(),
            };
            [
                text(webhook, "webhookId"),
                short_state(webhook).to_owned(),
                text(webhook, "url"),
                types(webhook),
                text(health, "succeededAt"),
                error,
            ]
        });
        table(["WEBHOOK", "STATE", "URL", "TYPES", "LAST SUCCESS", "LAST ERROR"], rows)
    })
}

//! Pages of lists.

use clap::Args;
use serde_json::Value;

use crate::client::wire::CursorPage;
use crate::exit::{Exit, Failure};
use crate::output::{Output, printable};

/// Maximum page size of the API.
const MAX_PAGE_SIZE: u32 = 100;

/// Which pages of a list to fetch.
#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// Number of entries per page, at most 100
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Continue after the page with this cursor
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    /// Fetch all pages
    #[arg(long, conflicts_with_all = ["limit", "after"])]
    all: bool,
}

/// How many empty pages are followed, each of which may stand for a thousand entries that were examined.
const MAX_EMPTY_PAGES: usize = 100;

/// Fetches one page, or with `--all` all pages as one. A page of a filtered list may be empty before the end of the list: then those after it
/// are fetched until one has an entry.
pub(super) async fn pages<Fetch, Page>(paging: &Paging, fetch: Fetch) -> Result<CursorPage, Failure>
where
    Fetch: Fn(Option<u32>, Option<String>) -> Page,
    Page: Future<Output = Result<CursorPage, Failure>>,
{
    let limit = if paging.all { Some(MAX_PAGE_SIZE) } else { paging.limit };
    let mut page = fetch(limit, paging.after.clone()).await?;
    let mut empty = 0;
    while let Some(cursor) = page.next_cursor.take() {
        let is_done = !page.data.is_empty() || empty == MAX_EMPTY_PAGES;
        if is_done && !paging.all {
            page.next_cursor = Some(cursor);
            break;
        }
        empty += 1;
        let next = fetch(limit, Some(cursor.clone())).await?;
        if next.next_cursor.as_ref() == Some(&cursor) {
            return Err(Failure::new(
                Exit::Failed,
                "the API returned the same page twice",
                "report this to the operator",
            ));
        }
        page.data.extend(next.data);
        page.next_cursor = next.next_cursor;
    }
    Ok(page)
}

/// `shown`, with a note if there are more pages, unless `--quiet` is given.
pub(super) fn with_next(output: Output, shown: &str, page: &CursorPage) -> String {
    let more = |cursor| format!("\n\nThere are more: use --after {} or --all", printable(cursor));
    let note = page.next_cursor.as_deref().map(more).unwrap_or_default();
    format!("{shown}{}", output.guidance(note))
}

/// The member `name` of `value` as text; empty if it is absent.
pub(super) fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

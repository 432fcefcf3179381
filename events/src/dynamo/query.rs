//! Reads of one stream.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};

use super::capacity::Capacity;
use super::item::{CommitSummary, Item, commit_from_item};
use super::table::{COUNT, EVENTS, FIRST, HASH, ID, STREAM};
use super::{Inner, unavailable, with_timeout};
use crate::commit::{Commit, Head};
use crate::id::CommitId;
use crate::log::{ReadError, StreamPage};
use crate::stream::StreamId;

/// Maximum bytes of events in one returned page. It bounds memory when commits are large.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// The attributes that an append needs of stored commits. No others are transferred.
const SUMMARY_ATTRIBUTES: &str = "#first, #count, #id, #hash";

/// The end of a stream, and the first version of the requested commit if it was found.
pub(super) struct CaughtUp {
    pub(super) head: Head,
    pub(super) found: Option<u64>,
}

/// One page of a `Query`, and the key after which the next page begins.
struct QueryPage {
    items: Vec<Item>,
    last: Option<Item>,
}

impl Inner {
    /// A strongly consistent query of `stream` for the commits that satisfy `condition`, in terms of `#first` and
    /// `:first`.
    fn query(&self, stream: &StreamId, condition: &str, first: u64) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .key_condition_expression(format!("#stream = :stream AND {condition}"))
            .expression_attribute_names("#stream", STREAM)
            .expression_attribute_names("#first", FIRST)
            .expression_attribute_values(":stream", AttributeValue::S(stream.to_string()))
            .expression_attribute_values(":first", AttributeValue::N(first.to_string()))
    }

    async fn run(&self, query: QueryFluentBuilder) -> Result<QueryPage, ReadError> {
        let output = with_timeout(query.send()).await?.map_err(unavailable)?;
        self.spend(Capacity::of_read(output.consumed_capacity()));
        let last = output.last_evaluated_key.filter(|key| !key.is_empty());
        Ok(QueryPage { items: output.items.unwrap_or_default(), last })
    }

    pub(super) async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        let query =
            project_summary(self.query(stream, "#first >= :first", 1)).scan_index_forward(false).limit(1);
        match self.run(query).await?.items.first() {
            None => Ok(Head::EMPTY),
            Some(item) => head_of(stream, item),
        }
    }

    /// Reads the commits after `head`, which must be a former head of the stream before which all commits are known.
    /// `found` is the first version of the commit with `id` if it is among them.
    pub(super) async fn catch_up(
        &self,
        stream: &StreamId,
        mut head: Head,
        id: &CommitId,
    ) -> Result<CaughtUp, ReadError> {
        let from = head.version + 1;
        let mut summaries = Vec::new();
        let mut end = None;
        let mut start = None;
        loop {
            let query =
                project_summary(self.query(stream, "#first >= :first", from)).set_exclusive_start_key(start);
            let query_page = self.run(query).await?;
            for item in &query_page.items {
                summaries.push(CommitSummary::of_item(item).map_err(|reason| damaged(stream, reason))?);
            }
            end = query_page.items.into_iter().next_back().or(end);
            start = query_page.last;
            if start.is_none() {
                break;
            }
        }
        if let Some(item) = end {
            head = head_of(stream, &item)?;
        }
        let found =
            summaries.iter().find(|summary| summary.id.as_ref() == Some(id)).map(|summary| summary.first);
        self.cache().extend(stream, from, &summaries);
        Ok(CaughtUp { head, found })
    }

    pub(super) async fn read(
        &self,
        stream: &StreamId,
        from: u64,
        limit: usize,
    ) -> Result<StreamPage, ReadError> {
        let from = from.max(1);
        let mut page = Page::new(limit);
        let mut start = None;
        loop {
            // One more than fits shows whether more follows.
            let requested = i32::try_from(page.items_to_request()).unwrap_or(i32::MAX);
            let query = self.query(stream, "#first >= :first", from).limit(requested);
            let query_page = self.run(query.set_exclusive_start_key(start)).await?;
            for item in &query_page.items {
                page.take(item)?;
            }
            start = query_page.last;
            if start.is_none() || page.next.is_some() {
                break;
            }
        }
        // The commit that holds `from` may begin before it. The log only grows, so what is read now of the part before
        // `from` existed at the first read too, unless that found nothing from `from` on.
        let begins_at = page.commits.first().map(|commit| commit.first);
        if from > 1 && begins_at != Some(from) && self.cache().head(stream).version + 1 != from {
            let before = self.query(stream, "#first < :first", from).scan_index_forward(false).limit(1);
            if let Some(item) = self.run(before).await?.items.first() {
                let commit = commit_from_item(item)?;
                if commit.last() >= from {
                    page.prepend(commit);
                }
            }
        }
        let Page { commits, next, .. } = page;
        if let Some(first) = commits.first() {
            let summaries: Vec<CommitSummary> = commits.iter().map(CommitSummary::from).collect();
            self.cache().extend(stream, first.first, &summaries);
        }
        Ok(StreamPage { commits, next })
    }
}

/// A returned page while it is being filled.
struct Page {
    commits: Vec<Commit>,
    bytes: usize,
    limit: usize,
    /// The version after the page, if some commit did not fit.
    next: Option<u64>,
}

impl Page {
    fn new(limit: usize) -> Self {
        Self { commits: Vec::new(), bytes: 0, limit, next: None }
    }

    fn items_to_request(&self) -> usize {
        (self.limit - self.commits.len()).saturating_add(1)
    }

    fn take(&mut self, item: &Item) -> Result<(), ReadError> {
        if self.next.is_some() {
            return Ok(());
        }
        if self.commits.len() == self.limit || self.bytes >= PAGE_BYTES {
            self.next = self.commits.last().map(|commit| commit.last() + 1);
            return Ok(());
        }
        self.commits.push(commit_from_item(item)?);
        self.bytes += item.get(EVENTS).and_then(|events| events.as_s().ok()).map_or(0, String::len);
        Ok(())
    }

    fn prepend(&mut self, commit: Commit) {
        self.commits.insert(0, commit);
        if self.commits.len() > self.limit {
            self.commits.truncate(self.limit);
            self.next = self.commits.last().map(|commit| commit.last() + 1);
        }
    }
}

fn project_summary(query: QueryFluentBuilder) -> QueryFluentBuilder {
    query
        .projection_expression(SUMMARY_ATTRIBUTES)
        .expression_attribute_names("#count", COUNT)
        .expression_attribute_names("#id", ID)
        .expression_attribute_names("#hash", HASH)
}

fn head_of(stream: &StreamId, item: &Item) -> Result<Head, ReadError> {
    let head = CommitSummary::of_item(item).map_err(|reason| damaged(stream, reason))?.head;
    head.ok_or_else(|| damaged(stream, "its last commit has no version or no hash".to_owned()))
}

fn damaged(stream: &StreamId, reason: String) -> ReadError {
    ReadError::Damaged { stream: stream.to_string(), reason }
}

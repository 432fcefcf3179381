//! Reads of one stream.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};

use super::capacity::Capacity;
use super::item::{Item, Link, commit_from_item};
use super::table::{COUNT, EVENTS, FIRST, HASH, ID, STREAM};
use super::{Inner, in_time, unavailable};
use crate::commit::{Commit, Head};
use crate::id::CommitId;
use crate::log::{ReadError, StreamPage};
use crate::stream::StreamId;

/// The most bytes of events in one page of ours: what keeps memory bounded when commits are large.
const PAGE_BYTES: usize = 8 * 1024 * 1024;

/// What an append must know of commits, and no more of them than that over the network.
const LINK: &str = "#first, #count, #id, #hash";

/// Where a stream ends, and where in it a commit was found.
pub(super) struct CaughtUp {
    pub(super) head: Head,
    pub(super) found: Option<u64>,
}

/// A page of `Query`, and from where it goes on.
struct Answer {
    items: Vec<Item>,
    last: Option<Item>,
}

impl Inner {
    /// A strongly consistent query of `stream` for the commits that begin as `condition` says of `#first` and `:first`.
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

    async fn answer(&self, query: QueryFluentBuilder) -> Result<Answer, ReadError> {
        let output = in_time(query.send()).await?.map_err(unavailable)?;
        self.spend(Capacity::of_read(output.consumed_capacity()));
        let last = output.last_evaluated_key.filter(|key| !key.is_empty());
        Ok(Answer { items: output.items.unwrap_or_default(), last })
    }

    pub(super) async fn head(&self, stream: &StreamId) -> Result<Head, ReadError> {
        let query = linking(self.query(stream, "#first >= :first", 1)).scan_index_forward(false).limit(1);
        match self.answer(query).await?.items.first() {
            None => Ok(Head::EMPTY),
            Some(item) => head_of(stream, item),
        }
    }

    /// Reads what follows `head`, which must be one that the stream once had and of which all before was known; `found` is
    /// where the commit with `id` begins, if it is in that part.
    pub(super) async fn catch_up(
        &self,
        stream: &StreamId,
        mut head: Head,
        id: &CommitId,
    ) -> Result<CaughtUp, ReadError> {
        let from = head.version + 1;
        let mut links = Vec::new();
        let mut end = None;
        let mut start = None;
        loop {
            let query = linking(self.query(stream, "#first >= :first", from)).set_exclusive_start_key(start);
            let answer = self.answer(query).await?;
            for item in &answer.items {
                links.push(Link::of_item(item).map_err(|reason| damaged(stream, reason))?);
            }
            end = answer.items.into_iter().next_back().or(end);
            start = answer.last;
            if start.is_none() {
                break;
            }
        }
        if let Some(item) = end {
            head = head_of(stream, &item)?;
        }
        let found = links.iter().find(|link| link.id.as_ref() == Some(id)).map(|link| link.first);
        self.memory().learn(stream, from, &links);
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
            // One more than there is room for tells whether anything follows.
            let wanted = i32::try_from(page.wanted()).unwrap_or(i32::MAX);
            let query = self.query(stream, "#first >= :first", from).limit(wanted);
            let answer = self.answer(query.set_exclusive_start_key(start)).await?;
            for item in &answer.items {
                page.take(item)?;
            }
            start = answer.last;
            if start.is_none() || page.next.is_some() {
                break;
            }
        }
        // The commit that holds `from` may begin before it. The log only grows: what is read now of the part before `from`
        // was there already, unless nothing was there from `from` on.
        let begins_at = page.commits.first().map(|commit| commit.first);
        if from > 1 && begins_at != Some(from) && self.memory().head(stream).version + 1 != from {
            let before = self.query(stream, "#first < :first", from).scan_index_forward(false).limit(1);
            if let Some(item) = self.answer(before).await?.items.first() {
                let commit = commit_from_item(item)?;
                if commit.last() >= from {
                    page.begin_with(commit);
                }
            }
        }
        let Page { commits, next, .. } = page;
        if let Some(first) = commits.first() {
            let links: Vec<Link> = commits.iter().map(Link::from).collect();
            self.memory().learn(stream, first.first, &links);
        }
        Ok(StreamPage { commits, next })
    }
}

/// A page of ours that is being filled.
struct Page {
    commits: Vec<Commit>,
    bytes: usize,
    limit: usize,
    /// Where what there was no room for begins.
    next: Option<u64>,
}

impl Page {
    fn new(limit: usize) -> Self {
        Self { commits: Vec::new(), bytes: 0, limit, next: None }
    }

    fn wanted(&self) -> usize {
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

    fn begin_with(&mut self, commit: Commit) {
        self.commits.insert(0, commit);
        if self.commits.len() > self.limit {
            self.commits.truncate(self.limit);
            self.next = self.commits.last().map(|commit| commit.last() + 1);
        }
    }
}

fn linking(query: QueryFluentBuilder) -> QueryFluentBuilder {
    query
        .projection_expression(LINK)
        .expression_attribute_names("#count", COUNT)
        .expression_attribute_names("#id", ID)
        .expression_attribute_names("#hash", HASH)
}

fn head_of(stream: &StreamId, item: &Item) -> Result<Head, ReadError> {
    let head = Link::of_item(item).map_err(|reason| damaged(stream, reason))?.head;
    head.ok_or_else(|| damaged(stream, "its last commit has no version or no hash".to_owned()))
}

fn damaged(stream: &StreamId, reason: String) -> ReadError {
    ReadError::Damaged { stream: stream.to_string(), reason }
}

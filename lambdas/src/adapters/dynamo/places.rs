//! The places of commits in their project's feed.
//!
//! The item `places#{project}` holds the next place. One transaction advances it, on the condition that nobody else did, and writes
//! two items for each commit: at `commits#{project}` what has the place, and at `place#{stream}` which place the commit has. It also adds the
//! usage that the commits count for. So the places of a project have no gap, each commit gets one place and is counted once, and commits of
//! one stream are in the order of the stream, however often and from how many functions a place is asked for.
//!
//! Transactions of one project follow one another, and two at a time cancel each other. Therefore the commits of a project that
//! wait for places in one process share a transaction ([`queue`](super::place_queue)). Between processes a cancelled transaction is
//! repeated after a short random pause.
//!
//! An earlier release counted the usage of commits that have no place yet: those of a stream up to the version in its item `fed#{stream}`. They
//! get places like all others, and are not counted again. The feed of that release, `feed#{project}`, is not read.
//!
//! A project's feed is one partition, which takes 1,000 writes a second, and a write in a transaction counts twice: a project
//! may have some 500 commits a second. Playback grants, the most frequent events, share commits.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use streamio_core::ports::AdapterError;
use streamio_core::ports::project_feed::{FeedPlaces, PlaceError};
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::stream::StreamId;
use streamio_events::timestamp::Timestamp;

use super::DynamoViews;
use super::item::{InvalidItem, Item, ONLY_ITEM, key, number, number_of, text, text_of, time_of};
use super::usage::usage_updates;

/// How many commits get their places in one transaction at most. A transaction has at most 100 items: the next place, two for each
/// commit, and at most two for the usage of each commit.
pub(super) const MAX_COMMITS: usize = 24;

/// How many earlier commits are read at a time.
const PAGE: usize = 64;

/// The attribute with the version in an item of [`fed_key`].
const FED_VERSION: &str = "version";

/// The attribute with the next place of a project.
pub(super) const NEXT: &str = "next";

/// The attribute with the time at which a commit was recorded.
pub(super) const RECORDED_AT: &str = "recorded_at";

/// The attribute with the latest of these times up to a place, in the item of the place and in that of the next place. It rises along the feed,
/// so that a time is found by bisection. An earlier release did not write it.
pub(super) const LATEST: &str = "latest";

/// The attribute with the place of a commit. Not `place`, which is a key of an index.
const FEED_PLACE: &str = "feed_place";

pub(super) fn feed_pk(project_id: &ProjectId) -> String {
    format!("commits#{project_id}")
}

/// The sort key of a place or of a version: numbers sort like their texts.
pub(super) fn sortable(number: u64) -> String {
    format!("{number:020}")
}

/// The key of the item in which an earlier release kept the version up to which it had counted a stream.
fn fed_key(stream: &StreamId) -> (String, String) {
    (format!("fed#{stream}"), ONLY_ITEM.to_owned())
}

/// Whether commits of the stream may count for usage, and an earlier release may have counted them.
fn may_be_counted(stream: &StreamId) -> bool {
    match stream {
        StreamId::Video(..)
        | StreamId::Project(_)
        | StreamId::Grants { .. }
        | StreamId::KeyedGrant { .. } => true,
        StreamId::Delivery(..) | StreamId::Webhooks(_) | StreamId::Replays(..) | StreamId::Audit(_) => false,
    }
}

pub(super) fn next_pk(project_id: &ProjectId) -> String {
    format!("places#{project_id}")
}

fn place_pk(stream: &StreamId) -> String {
    format!("place#{stream}")
}

/// The key of the item with the place of the commit of `stream` whose last event has the version `last`.
fn place_key(stream: &StreamId, last: u64) -> (String, String) {
    (place_pk(stream), sortable(last))
}

/// The attribute of such an item with the version up to which an earlier release has counted the stream; absent if that is no later than the
/// commit.
const COUNTED: &str = "counted";

/// What became of a commit that asked for its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    /// It has this place.
    At(u64),
    /// The stream's commits from this version on must get their places before it.
    After {
        /// The first version without a place.
        from: u64,
    },
}

/// The pauses between attempts to give places that another process prevented: some seconds in total.
fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(5))
        .with_max_delay(Duration::from_millis(500))
        .with_max_times(20)
        .with_jitter()
        .build()
}

/// Why places were not given.
enum WriteFailure {
    /// Another transaction was faster, or is in progress.
    Overtaken(AdapterError),
    /// The store is unavailable; the places may have been given.
    Failed(AdapterError),
}

/// What the table knows about some commits of a project.
struct Known {
    /// The next place of the project.
    next: u64,
    /// The latest time at which a commit with a place was recorded, as far as it is known.
    latest: Option<Timestamp>,
    /// The places of those commits, and of the commits before them, that have one.
    places: HashMap<(String, String), u64>,
    /// The versions up to which an earlier release has counted the streams of those commits.
    counted: HashMap<StreamId, u64>,
}

impl Known {
    /// The version up to which the stream of a commit was counted by an earlier release, if it is that of this commit or a later one.
    fn counted(&self, commit: &Commit) -> Option<u64> {
        self.counted.get(&commit.stream).copied().filter(|counted| *counted >= commit.last())
    }

    fn place_of(&self, stream: &StreamId, last: u64) -> Option<u64> {
        self.places.get(&place_key(stream, last)).copied()
    }
}

/// The commits of `commits` that get places now, in order: those that have none and whose predecessor has one, or gets one here.
fn ready<'a>(commits: &[&'a Commit], known: &Known) -> Vec<&'a Commit> {
    let mut in_order = commits.to_vec();
    in_order.sort_by_key(|commit| commit.first);
    let mut given = HashSet::new();
    let mut ready = Vec::new();
    for commit in in_order {
        let before = commit.first - 1;
        let has_before = before == 0
            || known.place_of(&commit.stream, before).is_some()
            || given.contains(&(&commit.stream, before));
        let has_place = known.place_of(&commit.stream, commit.last()).is_some();
        if has_before && !has_place && given.insert((&commit.stream, commit.last())) {
            ready.push(commit);
        }
    }
    ready
}

impl DynamoViews {
    /// See [`FeedPlaces::place`].
    pub async fn place(&self, commit: &Commit) -> Result<u64, PlaceError> {
        let mut next = match self.queued_place(commit).await? {
            Placed::At(place) => return Ok(place),
            Placed::After { from } => Some(from),
        };
        while let Some(version) = next {
            let page = self.log.read(&commit.stream, version, PAGE).await?;
            for missing in page.commits.iter().take_while(|missing| missing.first <= commit.first) {
                match self.queued_place(missing).await? {
                    Placed::At(place) if missing.first == commit.first => return Ok(place),
                    Placed::At(_) => {}
                    Placed::After { from } => {
                        let missing = format!("the log has no commit of {} from {from} on", commit.stream);
                        return Err(PlaceError::Unavailable(missing.into()));
                    }
                }
            }
            next = page.next.filter(|next| *next <= commit.first);
        }
        let missing = format!("the log does not have the commit {} of {} yet", commit.first, commit.stream);
        Err(PlaceError::Unavailable(missing.into()))
    }

    /// Gives places to `commits`, at most [`MAX_COMMITS`] of one project, that have none and whose predecessors have one. Returns what
    /// became of each.
    pub(super) async fn give_places(
        &self,
        project_id: &ProjectId,
        commits: &[&Commit],
    ) -> Result<Vec<Placed>, AdapterError> {
        let mut pauses = pauses();
        loop {
            let mut known = self.known(project_id, commits).await?;
            let ready = ready(commits, &known);
            if !ready.is_empty() {
                match self.write_places(project_id, &ready, &known).await {
                    Ok(()) => {
                        let given = ready.iter().zip(known.next..);
                        let given =
                            given.map(|(commit, place)| (place_key(&commit.stream, commit.last()), place));
                        known.places.extend(given);
                    }
                    Err(WriteFailure::Overtaken(error)) => {
                        tokio::time::sleep(pauses.next().ok_or(error)?).await;
                        continue;
                    }
                    Err(WriteFailure::Failed(error)) => return Err(error),
                }
            }
            if let Some(placed) = self.placed(commits, &known).await? {
                return Ok(placed);
            }
        }
    }

    /// What became of each commit; `None` if one got its place after `known` was read.
    async fn placed(&self, commits: &[&Commit], known: &Known) -> Result<Option<Vec<Placed>>, AdapterError> {
        let mut placed = Vec::new();
        for commit in commits {
            placed.push(match known.place_of(&commit.stream, commit.last()) {
                Some(place) => Placed::At(place),
                None => match self.placed_until(&commit.stream).await? {
                    until if until >= commit.last() => return Ok(None),
                    until => Placed::After { from: until + 1 },
                },
            });
        }
        Ok(Some(placed))
    }

    async fn known(&self, project_id: &ProjectId, commits: &[&Commit]) -> Result<Known, AdapterError> {
        let next_key = (next_pk(project_id), ONLY_ITEM.to_owned());
        let mut keys = HashSet::from([next_key.clone()]);
        // The item that states up to where the stream of a commit was counted.
        let mut counted_at = Vec::new();
        for commit in commits {
            keys.insert(place_key(&commit.stream, commit.last()));
            if commit.first > 1 {
                let before = place_key(&commit.stream, commit.first - 1);
                counted_at.push((before.clone(), COUNTED, &commit.stream));
                keys.insert(before);
            } else if may_be_counted(&commit.stream) {
                let fed = fed_key(&commit.stream);
                counted_at.push((fed.clone(), FED_VERSION, &commit.stream));
                keys.insert(fed);
            }
        }
        let mut items: HashMap<(String, String), Item> = HashMap::new();
        for item in self.items_at(keys).await? {
            items.insert((text_of(&item, "pk")?.to_owned(), text_of(&item, "sk")?.to_owned()), item);
        }
        let counted = counted_at
            .into_iter()
            .filter_map(|(at, name, stream)| Some((stream.clone(), number_of(items.get(&at)?, name).ok()?)))
            .collect();
        let next_item = items.remove(&next_key);
        let next = next_item.as_ref().map_or(Ok(0), |item| number_of(item, NEXT))?;
        let latest = next_item.as_ref().and_then(|item| time_of(item, LATEST));
        let places = items.into_iter().filter(|(_, item)| item.contains_key(FEED_PLACE));
        let places = places.map(|(at, item)| Ok((at, number_of(&item, FEED_PLACE)?)));
        Ok(Known { next, latest, places: places.collect::<Result<_, InvalidItem>>()?, counted })
    }

    /// The version up to which the commits of `stream` have places.
    async fn placed_until(&self, stream: &StreamId) -> Result<u64, AdapterError> {
        let query = self.client.query().table_name(&*self.table).key_condition_expression("pk = :pk");
        let query = query.expression_attribute_values(":pk", text(place_pk(stream)));
        let last = query.scan_index_forward(false).limit(1).consistent_read(true).send().await?;
        let last = last.items.unwrap_or_default().into_iter().next();
        Ok(last.map(|item| number_of(&item, "last")).transpose()?.unwrap_or(0))
    }

    async fn write_places(
        &self,
        project_id: &ProjectId,
        commits: &[&Commit],
        known: &Known,
    ) -> Result<(), WriteFailure> {
        let next = known.next;
        let mut items = Vec::new();
        let mut latest = known.latest.unwrap_or_default();
        for (commit, place) in commits.iter().zip(next..) {
            latest = latest.max(commit.recorded_at);
            let [entry, of_commit] = self.items_of(commit, (place, latest), known.counted(commit));
            items.push(TransactWriteItem::builder().put(entry).build());
            items.push(TransactWriteItem::builder().put(of_commit).build());
        }
        let advance = self.advance(project_id, next, (next + commits.len() as u64, latest));
        items.insert(0, TransactWriteItem::builder().update(advance).build());
        let uncounted = commits.iter().copied().filter(|commit| known.counted(commit).is_none());
        let usage = usage_updates(&self.table, uncounted);
        items.extend(usage.map(|update| TransactWriteItem::builder().update(update).build()));
        let request = self.client.transact_write_items().set_transact_items(Some(items));
        let Err(error) = request.send().await else { return Ok(()) };
        let error = error.into_service_error();
        if is_overtaken(&error) {
            Err(WriteFailure::Overtaken(error.into()))
        } else {
            Err(WriteFailure::Failed(error.into()))
        }
    }

    /// Advances the project's next place, on the condition that it is `next`.
    fn advance(&self, project_id: &ProjectId, next: u64, (after, latest): (u64, Timestamp)) -> Update {
        let update = Update::builder()
            .table_name(&*self.table)
            .set_key(Some(key(next_pk(project_id), ONLY_ITEM)))
            .update_expression("SET #next = :after, #latest = :latest")
            .expression_attribute_names("#next", NEXT)
            .expression_attribute_names("#latest", LATEST)
            .expression_attribute_values(":after", number(after))
            .expression_attribute_values(":latest", text(latest.to_string()));
        let update = if next == 0 {
            update.condition_expression("attribute_not_exists(pk)")
        } else {
            update.condition_expression("#next = :next").expression_attribute_values(":next", number(next))
        };
        update.build().expect("table, key and expression are set")
    }

    /// The item of the feed, and the item of the commit.
    fn items_of(&self, commit: &Commit, (place, latest): (u64, Timestamp), counted: Option<u64>) -> [Put; 2] {
        let entry = key(feed_pk(commit.stream.project_id()), sortable(place));
        let attributes = [
            ("stream", text(commit.stream.to_string())),
            ("first", number(commit.first)),
            ("events", number(commit.last() + 1 - commit.first)),
            (RECORDED_AT, text(commit.recorded_at.to_string())),
            (LATEST, text(latest.to_string())),
        ];
        let (pk, sk) = place_key(&commit.stream, commit.last());
        let of_commit = [("last", number(commit.last())), (FEED_PLACE, number(place))];
        let of_commit = of_commit.into_iter().chain(counted.map(|version| (COUNTED, number(version))));
        [self.new_item(entry, attributes), self.new_item(key(pk, sk), of_commit)]
    }

    fn new_item<'a>(
        &self,
        key: Item,
        attributes: impl IntoIterator<Item = (&'a str, AttributeValue)>,
    ) -> Put {
        let mut item = key;
        item.extend(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let put = Put::builder().table_name(&*self.table).set_item(Some(item));
        put.condition_expression("attribute_not_exists(pk)").build().expect("table and item are set")
    }
}

/// Whether the transaction may succeed after what it depends on was read again.
fn is_overtaken(error: &TransactWriteItemsError) -> bool {
    match error {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            let codes = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
            codes.into_iter().all(|code| code != "ValidationError")
        }
        other => other.is_transaction_in_progress_exception(),
    }
}

#[async_trait]
impl FeedPlaces for DynamoViews {
    async fn place(&self, commit: &Commit) -> Result<u64, PlaceError> {
        DynamoViews::place(self, commit).await
    }
}

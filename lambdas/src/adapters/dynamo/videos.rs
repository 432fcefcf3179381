use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use futures::future::try_join_all;
use streamio_core::ports::AdapterError;
use streamio_core::ports::view_store::{Urgency, VideoPage, VideoRow, ViewStore, ViewStoreError};
use streamio_events::home::VideoFilter;
use streamio_events::id::{ProjectId, VideoId};
use streamio_events::log::Part;
use streamio_events::retryable::Retryable as _;
use streamio_events::timestamp::Timestamp;
use streamio_events::video::{VideoState, VideoStatus, load};

use super::due::{due_keys, due_of};
use super::item::{InvalidItem, Item, ONLY_ITEM, key, number, number_of, text, text_of};
use super::table::{BY_PROJECT, BY_STATE, DUE, DUE_SHARD, LISTING, PLACE, STATE_LISTING};
use super::{DynamoViews, cursor};

/// The version of the form of [`VideoRow`] and of its item; raise it when either changes. A row of another form counts as
/// absent, and replaces one of an older form: after a deployment each row is folded again when it is next needed, and functions
/// of the previous build cannot undo that.
const FORM: u32 = 4;

/// The longest row that is stored in an item, in bytes of JSON. The limit for an item is 400 KB, and its keys take less than
/// one. Only open grants and rejected uploads, some 250 bytes each, can make a row this long: fifteen hundred for one key. Such a
/// row is stored without its JSON; readers fold the stream instead.
const MAX_ROW_BYTES: usize = 380 * 1024;

impl DynamoViews {
    /// The row of an item. Folded from the log if the item has no row that this build can read.
    async fn row_or_fold(&self, item: &Item) -> Result<Option<VideoRow>, AdapterError> {
        if let Some(row) = row_of(item) {
            return Ok(Some(row));
        }
        let (project_id, video_id) = ids_of(item)?;
        let video = match load(&*self.log, &project_id, &video_id).await {
            Ok(video) => video,
            Err(error) if error.is_retryable() => return Err(error.into()),
            Err(error) => {
                tracing::error!(project.id = %project_id, video.id = %video_id, error = %error, "the video is left out of a list: its events cannot be read");
                return Ok(None);
            }
        };
        Ok(Some(VideoRow { status: video.status(), due_at: due_of(item), video }))
    }

    /// The keys of at most `limit` entries of a list, from its end on, and whether there may be more entries.
    pub(super) async fn entries(
        &self,
        index: &str,
        (partition, value): (&str, String),
        (sort, below): (&str, String),
        limit: usize,
    ) -> Result<(Vec<Item>, bool), AdapterError> {
        let mut entries = Vec::new();
        let mut from = None;
        loop {
            let left = limit - entries.len();
            let response = self
                .client
                .query()
                .table_name(&*self.table)
                .index_name(index)
                .key_condition_expression("#partition = :partition AND #sort < :below")
                .expression_attribute_names("#partition", partition)
                .expression_attribute_names("#sort", sort)
                .expression_attribute_values(":partition", text(&value))
                .expression_attribute_values(":below", text(&below))
                .scan_index_forward(false)
                .limit(i32::try_from(left).unwrap_or(i32::MAX))
                .set_exclusive_start_key(from)
                .send()
                .await?;
            entries.extend(response.items.unwrap_or_default());
            from = response.last_evaluated_key;
            if from.is_none() || entries.len() >= limit {
                return Ok((entries, from.is_some()));
            }
        }
    }

    /// At least `limit` videos of a list, each with its place, unless the list ends before. If only some of the list is selected
    /// and so many videos were examined that the page has to end: fewer, and the place up to which they were examined.
    async fn listed(
        &self,
        list: &List<'_>,
        after: Option<String>,
        limit: usize,
    ) -> Result<(Vec<(String, VideoStatus)>, Option<String>), AdapterError> {
        let (mut found, mut examined) = (Vec::new(), 0);
        let mut below = after.unwrap_or_else(|| PAST_ALL_PLACES.to_owned());
        loop {
            let (partition, value) = list.partition();
            let missing = limit - found.len();
            let amount = if list.filter.is_selective() { missing.max(SELECTED_FROM) } else { missing };
            let (entries, more) =
                self.entries(list.index(), (partition, value), (PLACE, below.clone()), amount).await?;
            examined += entries.len();
            let pks: Vec<String> = entries
                .iter()
                .map(|entry| text_of(entry, "pk").map(str::to_owned))
                .collect::<Result<_, _>>()?;
            for item in self.items(&pks).await? {
                let row = self.row_or_fold(&item).await?;
                if let Some(status) =
                    row.and_then(|row| row.status).filter(|status| list.filter.passes(status))
                {
                    found.push((text_of(&item, PLACE)?.to_owned(), status));
                }
            }
            if !more || found.len() >= limit {
                return Ok((found, None));
            }
            if let Some(last) = entries.last() {
                text_of(last, PLACE)?.clone_into(&mut below);
            }
            if list.filter.is_selective() && examined >= MAX_EXAMINED {
                return Ok((found, Some(below)));
            }
        }
    }
}

/// How many videos are read at once for a list of which only some videos are selected: one batch.
const SELECTED_FROM: usize = 100;

/// The most videos that are examined for a page of such a list. Reading them takes some tens of milliseconds.
const MAX_EXAMINED: usize = 1_000;

/// Sorts after the place of every video in a list.
const PAST_ALL_PLACES: &str = "~";

/// A list of a project's videos. The index has those of one state, or of all states except expired and deleted.
struct List<'a> {
    project_id: &'a ProjectId,
    filter: &'a VideoFilter,
}

impl List<'_> {
    fn index(&self) -> &'static str {
        if self.filter.state.is_some() { BY_STATE } else { BY_PROJECT }
    }

    fn partition(&self) -> (&'static str, String) {
        match self.filter.state {
            Some(state) => (STATE_LISTING, state_listing(self.project_id, state)),
            None => (LISTING, listing(self.project_id)),
        }
    }

    fn cursor(&self, place: &str) -> String {
        cursor::write(&self.partition().1, place)
    }

    fn place(&self, cursor: &str) -> Result<String, ViewStoreError> {
        let place = cursor::read(&self.partition().1, cursor).ok_or(ViewStoreError::InvalidCursor)?;
        let parse = || {
            let (created_at, video_id) = place.split_once('#')?;
            Some(place_of(created_at.parse().ok()?, &video_id.parse().ok()?))
        };
        parse().filter(|parsed| *parsed == place).ok_or(ViewStoreError::InvalidCursor)
    }
}

fn video_pk(project_id: &ProjectId, video_id: &VideoId) -> String {
    format!("video#{project_id}#{video_id}")
}

fn ids_of(item: &Item) -> Result<(ProjectId, VideoId), InvalidItem> {
    let parse = |pk: &str| {
        let (project_id, video_id) = pk.strip_prefix("video#")?.split_once('#')?;
        Some((project_id.parse().ok()?, video_id.parse().ok()?))
    };
    parse(text_of(item, "pk")?).ok_or(InvalidItem("pk"))
}

fn listing(project_id: &ProjectId) -> String {
    format!("list#{project_id}")
}

fn state_listing(project_id: &ProjectId, state: VideoState) -> String {
    format!("list#{project_id}#{}", state.as_str())
}

fn place_of(created_at: Timestamp, video_id: &VideoId) -> String {
    format!("{created_at}#{video_id}")
}

fn row_of(item: &Item) -> Option<VideoRow> {
    if number_of(item, "form") != Ok(FORM) {
        return None;
    }
    serde_json::from_str(text_of(item, "row").ok()?).ok()
}

fn item_of(row: &VideoRow) -> Result<Item, serde_json::Error> {
    let video = &row.video;
    let mut item = key(video_pk(&video.project_id, &video.video_id), ONLY_ITEM);
    let mut put = |name: &str, value| item.insert(name.to_owned(), value);
    put("form", number(FORM));
    put("version", number(video.version));
    let json = serde_json::to_string(row)?;
    if json.len() <= MAX_ROW_BYTES {
        put("row", text(json));
    }
    if let Some(status) = &row.status {
        put(PLACE, text(place_of(video.created_at, &video.video_id)));
        put(STATE_LISTING, text(state_listing(&video.project_id, status.state)));
        if status.state.is_listed() {
            put(LISTING, text(listing(&video.project_id)));
        }
    }
    for (name, value) in row.due_at.into_iter().flat_map(|at| due_keys(row, at)) {
        put(name, value);
    }
    Ok(item)
}

fn unavailable(error: impl Into<AdapterError>) -> ViewStoreError {
    ViewStoreError::Unavailable(error.into())
}

#[async_trait]
impl ViewStore for DynamoViews {
    async fn get(
        &self,
        project_id: &ProjectId,
        video_id: &VideoId,
    ) -> Result<Option<VideoRow>, ViewStoreError> {
        let item = self.item(video_pk(project_id, video_id)).await.map_err(unavailable)?;
        Ok(item.as_ref().and_then(row_of))
    }

    async fn put(&self, row: &VideoRow) -> Result<bool, ViewStoreError> {
        let written = self
            .client
            .put_item()
            .table_name(&*self.table)
            .set_item(Some(item_of(row).map_err(unavailable)?))
            .condition_expression(
                "attribute_not_exists(pk) OR #form < :form OR (#form = :form AND #version < :version)",
            )
            .expression_attribute_names("#form", "form")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":form", number(FORM))
            .expression_attribute_values(":version", number(row.video.version))
            .send()
            .await;
        match written.map_err(SdkError::into_service_error) {
            Ok(_) => Ok(true),
            Err(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn list(
        &self,
        project_id: &ProjectId,
        filter: &VideoFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<VideoPage, ViewStoreError> {
        let list = List { project_id, filter };
        let after = after.map(|cursor| list.place(cursor)).transpose()?;
        // One more, to know whether there is a next page.
        let (mut found, examined_to) =
            self.listed(&list, after, limit.saturating_add(1)).await.map_err(unavailable)?;
        let more = found.len() > limit;
        found.truncate(limit);
        let end = if more { found.last().map(|(place, _)| place) } else { examined_to.as_ref() };
        let next = end.map(|place| list.cursor(place));
        Ok(VideoPage { videos: found.into_iter().map(|(_, status)| status).collect(), next })
    }

    async fn due(
        &self,
        part: Part,
        urgency: Urgency,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<VideoRow>, ViewStoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let items = self.due_items(part, urgency, now, limit).await.map_err(unavailable)?;
        let rows = items.iter().map(|item| self.row_or_fold(item));
        let rows = try_join_all(rows).await.map_err(unavailable)?;
        Ok(rows.into_iter().flatten().collect())
    }

    async fn defer(&self, row: &VideoRow, until: Option<Timestamp>) -> Result<(), ViewStoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&*self.table)
            .set_key(Some(key(video_pk(&row.video.project_id, &row.video.video_id), ONLY_ITEM)))
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":version", number(row.video.version))
            .expression_attribute_names("#shard", DUE_SHARD)
            .expression_attribute_names("#due", DUE);
        let request = match until {
            None => request.update_expression("REMOVE #shard, #due"),
            Some(until) => {
                let [(_, shard), (_, due)] = due_keys(row, until);
                request
                    .update_expression("SET #shard = :shard, #due = :due")
                    .expression_attribute_values(":shard", shard)
                    .expression_attribute_values(":due", due)
            }
        };
        match request.send().await.map_err(SdkError::into_service_error) {
            Ok(_) | Err(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }
}

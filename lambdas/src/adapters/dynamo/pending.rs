//! The pending replications.
//!
//! An entry's sort key is the time at which it is due and a random number, so that what is due is the beginning of the partition.
//! Earlier releases had one entry for each project, in a partition of its own, with the version that the edge lacked; those are due at
//! once.

use std::fmt::Write as _;

use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use streamio_core::ports::AdapterError;
use streamio_core::ports::pending_replications::{
    PendingId, PendingReplication, PendingReplicationError, PendingReplications,
};
use streamio_events::id::ProjectId;
use streamio_events::timestamp::Timestamp;

use super::DynamoViews;
use super::due::due_bound;
use super::item::{InvalidItem, Item, key, number, number_of, text, text_of};

/// One partition is enough: a change of a project writes two of its items, and a rebuild one for each project.
const PK: &str = "replication-due";

/// The partition of the entries of earlier releases. Its sort keys are the ids of projects.
const EARLIER_PK: &str = "pending-replication";

/// The attribute with the project.
const PROJECT: &str = "project";

/// What identifies an item.
enum Entry {
    /// By its sort key.
    Due(String),
    /// Of an earlier release: by its project, while it has this version.
    Earlier(ProjectId, u64),
}

impl Entry {
    fn id(&self) -> PendingId {
        PendingId(match self {
            Self::Due(sk) => sk.clone(),
            Self::Earlier(project_id, version) => format!("{project_id}@{version}"),
        })
    }

    /// Sort keys contain no `@`.
    fn of_id(id: &PendingId) -> Result<Self, InvalidItem> {
        let Some((project_id, version)) = id.0.split_once('@') else { return Ok(Self::Due(id.0.clone())) };
        let entry = project_id.parse().ok().zip(version.parse().ok());
        entry.map(|(project_id, version)| Self::Earlier(project_id, version)).ok_or(InvalidItem("sk"))
    }
}

fn entry_of(item: &Item) -> Result<PendingReplication, InvalidItem> {
    let project_id = text_of(item, PROJECT)?.parse().map_err(|_| InvalidItem(PROJECT))?;
    Ok(PendingReplication { id: Entry::Due(text_of(item, "sk")?.to_owned()).id(), project_id })
}

fn earlier_entry_of(item: &Item) -> Result<PendingReplication, InvalidItem> {
    let project_id: ProjectId = text_of(item, "sk")?.parse().map_err(|_| InvalidItem("sk"))?;
    let id = Entry::Earlier(project_id.clone(), number_of(item, "version")?).id();
    Ok(PendingReplication { id, project_id })
}

/// Returns a random number as 32 hexadecimal digits.
fn random_digits() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut digits, byte| {
        // Writing to a string never fails.
        let _ = write!(digits, "{byte:02x}");
        digits
    }))
}

impl DynamoViews {
    async fn add_pending(
        &self,
        project_id: &ProjectId,
        due_at: Timestamp,
    ) -> Result<PendingId, AdapterError> {
        let sk = format!("{due_at}#{}", random_digits()?);
        let mut item = key(PK, &sk);
        item.insert(PROJECT.to_owned(), text(project_id.as_str()));
        self.client.put_item().table_name(&*self.table).set_item(Some(item)).send().await?;
        Ok(Entry::Due(sk).id())
    }

    async fn due_pending(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<PendingReplication>, AdapterError> {
        let mut due = self.entries_of(EARLIER_PK, None, limit, earlier_entry_of).await?;
        let rest = limit - due.len();
        due.extend(self.entries_of(PK, Some(due_bound(now)), rest, entry_of).await?);
        Ok(due)
    }

    /// The first `limit` entries of a partition, whose sort keys are less than `bound`, with consistent reads. An item that is no entry is
    /// left out: it must not stop the replication of the other projects.
    async fn entries_of(
        &self,
        pk: &str,
        bound: Option<String>,
        limit: usize,
        entry_of: fn(&Item) -> Result<PendingReplication, InvalidItem>,
    ) -> Result<Vec<PendingReplication>, AdapterError> {
        let condition = if bound.is_some() { "pk = :pk AND sk < :bound" } else { "pk = :pk" };
        let (mut entries, mut from) = (Vec::new(), None);
        while entries.len() < limit {
            let mut query = self
                .client
                .query()
                .table_name(&*self.table)
                .key_condition_expression(condition)
                .expression_attribute_values(":pk", text(pk))
                .limit(i32::try_from(limit - entries.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(from)
                .consistent_read(true);
            if let Some(bound) = &bound {
                query = query.expression_attribute_values(":bound", text(bound));
            }
            let page = query.send().await?;
            for item in page.items.unwrap_or_default() {
                match entry_of(&item) {
                    Ok(entry) => entries.push(entry),
                    Err(error) => {
                        let sk = text_of(&item, "sk").unwrap_or_default();
                        tracing::error!(pk, sk, error = %error, "an item in the list of pending replications is not an entry; it is left out: remove it from the table of views, and rebuild the views");
                    }
                }
            }
            from = page.last_evaluated_key;
            if from.is_none() {
                break;
            }
        }
        Ok(entries)
    }

    async fn remove_pending(&self, id: &PendingId) -> Result<(), AdapterError> {
        let delete = self.client.delete_item().table_name(&*self.table);
        match Entry::of_id(id)? {
            Entry::Due(sk) => {
                delete.set_key(Some(key(PK, sk))).send().await?;
            }
            Entry::Earlier(project_id, version) => {
                // A function of an earlier release may have raised the version since.
                let delete = delete
                    .set_key(Some(key(EARLIER_PK, project_id.as_str())))
                    .condition_expression("attribute_not_exists(pk) OR #version = :version")
                    .expression_attribute_names("#version", "version")
                    .expression_attribute_values(":version", number(version));
                match delete.send().await.map_err(SdkError::into_service_error) {
                    Ok(_) | Err(DeleteItemError::ConditionalCheckFailedException(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl PendingReplications for DynamoViews {
    async fn add(
        &self,
        project_id: &ProjectId,
        due_at: Timestamp,
    ) -> Result<PendingId, PendingReplicationError> {
        self.add_pending(project_id, due_at).await.map_err(PendingReplicationError)
    }

    async fn due(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<PendingReplication>, PendingReplicationError> {
        self.due_pending(now, limit).await.map_err(PendingReplicationError)
    }

    async fn remove(&self, id: &PendingId) -> Result<(), PendingReplicationError> {
        self.remove_pending(id).await.map_err(PendingReplicationError)
    }
}

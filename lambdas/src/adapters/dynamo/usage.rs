use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::Update;
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::log::Part;

use super::DynamoViews;
use super::item::{Item, key, number, number_of, text, text_of};
use streamio_core::ports::AdapterError;
use streamio_core::views::usage::{UsageDelta, day_of};

/// Over how many items a project's day is spread. Transactions that meet in one item cancel one another, and one item takes
/// some hundred of them a second.
const SHARDS: u32 = 8;

fn pk(project_id: &ProjectId) -> String {
    format!("usage#{project_id}")
}

/// Counts what `commit` adds; `None` when that is nothing.
pub(super) fn counting(table: &str, commit: &Commit) -> Option<Update> {
    let delta = UsageDelta::of(commit);
    if delta.is_zero() {
        return None;
    }
    let shard = Part::slot(&commit.stream) % SHARDS;
    let mut update = Update::builder()
        .table_name(table)
        .set_key(Some(key(pk(commit.stream.project_id()), format!("{}#{shard}", day_of(commit)))));
    let mut adding = Vec::new();
    for (name, count) in delta.counters().filter(|(_, count)| *count > 0) {
        adding.push(format!("#{name} :{name}"));
        update = update
            .expression_attribute_names(format!("#{name}"), name)
            .expression_attribute_values(format!(":{name}"), number(count));
    }
    let update = update.update_expression(format!("ADD {}", adding.join(", ")));
    Some(update.build().expect("table, key and expression are given"))
}

impl DynamoViews {
    /// What a project used on each day from `first` to `last`, both `yyyy-mm-dd` in UTC; days without use are left out.
    pub async fn usage(
        &self,
        project_id: &ProjectId,
        first: &str,
        last: &str,
    ) -> Result<BTreeMap<String, UsageDelta>, AdapterError> {
        let mut pages = self
            .client
            .query()
            .table_name(&*self.table)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(pk(project_id)))
            .expression_attribute_values(":first", text(first))
            // Behind all shards of the day.
            .expression_attribute_values(":last", text(format!("{last}$")))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let mut days = BTreeMap::new();
        while let Some(item) = pages.next().await.transpose()? {
            let item: Item = item;
            let day = text_of(&item, "sk")?.split('#').next().unwrap_or_default().to_owned();
            let counted = UsageDelta::from_counters(|name| number_of(&item, name).unwrap_or(0));
            *days.entry(day).or_default() += counted;
        }
        Ok(days)
    }
}

//! The usage of projects.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, Update};
use streamio_core::ports::AdapterError;
use streamio_core::ports::usage_store::{UsageStore, UsageStoreError};
use streamio_events::commit::Commit;
use streamio_events::day::Day;
use streamio_events::id::ProjectId;
use streamio_events::log::Part;
use streamio_events::usage::{DayUsage, Usage, UsageCounters, day_of};

use super::DynamoViews;
use super::item::{Item, key, number, text};

/// How many items a project's day is spread over. Concurrent transactions on one item cancel one another, and one item takes
/// only some hundred of them a second.
const SHARDS: u32 = 8;

fn pk(project_id: &ProjectId) -> String {
    format!("usage#{project_id}")
}

/// In place of the day, the items of the sums over all days. They have only the counters of stored bytes, which change with uploads
/// and removals, so that other commits do not write them.
const TOTAL: &str = "total";

/// Returns the updates that add the usage of `commits` to their days, and the bytes that they store or remove to their sums: one update for
/// each item, at most two for each commit.
pub(super) fn usage_updates<'a>(
    table: &str,
    commits: impl Iterator<Item = &'a Commit>,
) -> impl Iterator<Item = Update> {
    let mut sums: BTreeMap<(String, String), UsageCounters> = BTreeMap::new();
    for commit in commits {
        let counters = UsageCounters::of(commit);
        let UsageCounters { bytes_uploaded, bytes_removed, .. } = counters;
        let stored = UsageCounters { bytes_uploaded, bytes_removed, ..UsageCounters::default() };
        let shard = Part::slot(&commit.stream) % SHARDS;
        for (day, counters) in [(day_of(commit).to_string(), counters), (TOTAL.to_owned(), stored)] {
            let item = (pk(commit.stream.project_id()), format!("{day}#{shard}"));
            *sums.entry(item).or_default() += counters;
        }
    }
    let sums = sums.into_iter().filter(|(_, counters)| !counters.is_zero());
    sums.map(|((pk, sk), counters)| add(table, key(pk, sk), &counters))
}

/// Returns the update that adds `counters` to an item.
fn add(table: &str, item: Item, counters: &UsageCounters) -> Update {
    let mut update = Update::builder().table_name(table).set_key(Some(item));
    let mut adding = Vec::new();
    for (name, count) in counters.counters().filter(|(_, count)| *count > 0) {
        adding.push(format!("#{name} :{name}"));
        update = update
            .expression_attribute_names(format!("#{name}"), name)
            .expression_attribute_values(format!(":{name}"), number(count));
    }
    let update = update.update_expression(format!("ADD {}", adding.join(", ")));
    update.build().expect("table, key and expression are set")
}

impl DynamoViews {
    /// Returns the sums of a project's counters from the items of `first` to those of `last`.
    async fn sums(
        &self,
        project_id: &ProjectId,
        first: &str,
        last: &str,
    ) -> Result<BTreeMap<String, UsageCounters>, AdapterError> {
        let query = self.client.query().table_name(&*self.table);
        let query = query
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(pk(project_id)))
            .expression_attribute_values(":first", text(format!("{first}#")))
            .expression_attribute_values(":last", text(format!("{last}#~")))
            // What was counted before is found: after the last change of a project's usage, it is measured.
            .consistent_read(true);
        let mut sums: BTreeMap<String, UsageCounters> = BTreeMap::new();
        let mut items = query.into_paginator().items().send();
        while let Some(item) = items.try_next().await? {
            let sk = item.get("sk").and_then(|value| value.as_s().ok());
            let Some((day, _)) = sk.and_then(|sk| sk.split_once('#')) else { continue };
            let counters = sums.entry(day.to_owned()).or_default();
            for (name, value) in &item {
                if let (Some(counter), AttributeValue::N(count)) = (counters.counter(name), value) {
                    *counter += count.parse::<u64>()?;
                }
            }
        }
        Ok(sums)
    }

    async fn read_usage(&self, project_id: &ProjectId, first: Day, last: Day) -> Result<Usage, AdapterError> {
        let total = self.sums(project_id, TOTAL, TOTAL).await?;
        let stored_bytes = total.get(TOTAL).copied().unwrap_or_default().stored_bytes();
        let days = self.sums(project_id, &first.to_string(), &last.to_string()).await?;
        let days = days.into_iter().map(|(day, counters)| Ok(DayUsage { day: day.parse()?, counters }));
        Ok(Usage { days: days.collect::<Result<_, AdapterError>>()?, stored_bytes })
    }
}

#[async_trait]
impl UsageStore for DynamoViews {
    async fn usage(&self, project_id: &ProjectId, first: Day, last: Day) -> Result<Usage, UsageStoreError> {
        self.read_usage(project_id, first, last).await.map_err(UsageStoreError)
    }
}

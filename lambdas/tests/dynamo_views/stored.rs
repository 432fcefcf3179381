//! Reads items of the views' table that the adapter only writes: usage counters and dead letters.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use streamio_core::ports::dead_letters::DeadLetter;
use streamio_events::commit::Commit;
use streamio_events::usage::UsageCounters;

use crate::test_dynamo::{TABLE, TestDynamo};

/// Counters by name; a counter of zero is left out.
pub(crate) type Counters = BTreeMap<String, u64>;

pub(crate) fn counters(usage: &UsageCounters) -> Counters {
    usage.counters().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count)).collect()
}

/// The usage of a project by day, `yyyy-mm-dd`: the sum over the items that a day is spread over.
pub(crate) async fn usage(dynamo: &TestDynamo, project: &str) -> BTreeMap<String, Counters> {
    let mut days: BTreeMap<String, Counters> = BTreeMap::new();
    for item in items(dynamo, format!("usage#{project}")).await {
        let (day, _) = string(&item, "sk").split_once('#').expect("a day and a shard");
        if day == "total" {
            continue;
        }
        let day = days.entry(day.to_owned()).or_default();
        for (name, value) in item.iter().filter(|(name, _)| !matches!(name.as_str(), "pk" | "sk")) {
            *day.entry(name.clone()).or_default() += value.as_n().unwrap().parse::<u64>().unwrap();
        }
    }
    days
}

/// The dead letters of a function, by id, with whole payloads.
pub(crate) async fn dead_letters(dynamo: &TestDynamo, function: &'static str) -> Vec<DeadLetter> {
    let parts = items(dynamo, format!("dead-part#{function}")).await;
    let items = items(dynamo, format!("dead#{function}")).await;
    let mut dead_letters: Vec<DeadLetter> = items
        .iter()
        .map(|item| {
            let first = string(item, "payload").to_owned();
            let count: u32 = item["parts"].as_n().unwrap().parse().unwrap();
            let payload = (2..=count).fold(first, |payload, part| {
                let sk = format!("{}#{part:06}", string(item, "sk"));
                let part = parts.iter().find(|item| string(item, "sk") == sk).expect("all parts are stored");
                payload + string(part, "payload")
            });
            DeadLetter {
                function,
                id: string(item, "id").to_owned(),
                at: string(item, "at").parse().unwrap(),
                reason: string(item, "reason").to_owned(),
                payload,
            }
        })
        .collect();
    dead_letters.sort_by(|a, b| a.id.cmp(&b.id));
    dead_letters
}

/// Removes the entry at `place` of a project's feed, and returns it.
pub(crate) async fn remove_feed_entry(
    dynamo: &TestDynamo,
    project: &str,
    place: usize,
) -> HashMap<String, AttributeValue> {
    let entry = items(dynamo, format!("commits#{project}")).await.swap_remove(place);
    let key = ["pk", "sk"].map(|name| (name.to_owned(), entry[name].clone()));
    let request = dynamo.client().delete_item().table_name(TABLE).set_key(Some(key.into()));
    request.send().await.unwrap();
    entry
}

/// Writes an item.
pub(crate) async fn put(dynamo: &TestDynamo, item: HashMap<String, AttributeValue>) {
    dynamo.client().put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
}

/// Writes what an earlier release had stored about a stream after it had handled `last`: the entry of its feed, and its version.
pub(crate) async fn put_of_earlier_release(dynamo: &TestDynamo, stream: &str, last: &Commit) {
    let text = |text: String| AttributeValue::S(text);
    let number = |number: u64| AttributeValue::N(number.to_string());
    let named = |name: &str, value| (name.to_owned(), value);
    let stamp = last.recorded_at.to_string();
    let entry = [
        named("pk", text(format!("feed#{}", last.stream.project_id()))),
        named("sk", text(format!("{stamp}#{stream}"))),
        named("stream", text(stream.to_owned())),
        named("first", number(last.first)),
        named("events", number(last.events.len() as u64)),
    ];
    let progress = [
        named("pk", text(format!("fed#{stream}"))),
        named("sk", text("-".to_owned())),
        named("version", number(last.last())),
        named("stamp", text(stamp)),
    ];
    put(dynamo, entry.into()).await;
    put(dynamo, progress.into()).await;
}

async fn items(dynamo: &TestDynamo, pk: String) -> Vec<HashMap<String, AttributeValue>> {
    let query = dynamo.client().query().table_name(TABLE).key_condition_expression("pk = :pk");
    let query = query.expression_attribute_values(":pk", AttributeValue::S(pk)).consistent_read(true);
    query.into_paginator().items().send().try_collect().await.unwrap()
}

fn string<'a>(item: &'a HashMap<String, AttributeValue>, name: &str) -> &'a str {
    item[name].as_s().unwrap()
}

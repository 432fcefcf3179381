use aws_sdk_dynamodb::types::Update;
use streamio_core::views::usage::{UsageDelta, day_of};
use streamio_events::commit::Commit;
use streamio_events::id::ProjectId;
use streamio_events::log::Part;

use super::item::{key, number};

/// How many items a project's day is spread over. Concurrent transactions on one item cancel one another, and one item takes
/// only some hundred of them a second.
const SHARDS: u32 = 8;

fn pk(project_id: &ProjectId) -> String {
    format!("usage#{project_id}")
}

/// Returns the update that adds the usage of `commit` to its day; `None` if it adds nothing.
pub(super) fn usage_update(table: &str, commit: &Commit) -> Option<Update> {
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
    Some(update.build().expect("table, key and expression are set"))
}

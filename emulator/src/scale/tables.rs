//! The tables of `docs/scale.md`.

use std::fmt::Write as _;

use super::costs::{self, Cost};
use super::limits::{
    CONCURRENT_INVOCATIONS, LAUNCHES, PARTITION_READS, PARTITION_WRITES, SHARD_RECORDS, TABLE_WRITES,
};
use super::load::Load;

/// The loads of the model.
pub(super) const LOADS: [(&str, Load); 4] = [
    ("1 upload/s", Load { uploads: 1.0, playbacks: 0.0 }),
    ("100 uploads/s", Load { uploads: 100.0, playbacks: 0.0 }),
    ("10,000 uploads/s", Load { uploads: 10_000.0, playbacks: 0.0 }),
    ("100,000 playback grants/s", Load { uploads: 0.0, playbacks: 100_000.0 }),
];

/// What a limit is a limit of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The account, which AWS increases on request.
    Account,
    /// One partition key, which nobody increases.
    Partition,
}

/// A limit: what reaches it, its value, and what is done about it.
pub(super) struct Limit {
    name: &'static str,
    demand: fn(Load) -> f64,
    most: f64,
    scope: Scope,
    remedy: &'static str,
}

pub(super) const LIMITS: [Limit; 10] = [
    Limit {
        name: "tasks launched by Fargate",
        demand: |load| load.uploads,
        most: LAUNCHES,
        scope: Scope::Account,
        remedy: "attempts wait, and the sweep launches them after growing pauses; request an increase, or run workers that take many jobs",
    },
    Limit {
        name: "writes to the table of views",
        demand: |load| load.dynamo().view_writes,
        most: TABLE_WRITES,
        scope: Scope::Account,
        remedy: "request an increase",
    },
    Limit {
        name: "writes to the ledger",
        demand: |load| load.dynamo().ledger_writes,
        most: TABLE_WRITES,
        scope: Scope::Account,
        remedy: "request an increase",
    },
    Limit {
        name: "concurrent invocations of Lambda",
        demand: Load::concurrency,
        most: CONCURRENT_INVOCATIONS,
        scope: Scope::Account,
        remedy: "request an increase",
    },
    Limit {
        name: "the feed of the largest project",
        demand: Load::hottest_feed,
        most: PARTITION_WRITES,
        scope: Scope::Partition,
        remedy: "`views` falls behind with all projects of the same part of the ledger's stream; split its feed into parts, or the project",
    },
    Limit {
        name: "a counter of the largest project's usage",
        demand: Load::hottest_usage,
        most: PARTITION_WRITES,
        scope: Scope::Partition,
        remedy: "raise `SHARDS` in `usage.rs`",
    },
    Limit {
        name: "the largest project's list of videos in a state",
        demand: Load::hottest_list,
        most: PARTITION_WRITES,
        scope: Scope::Partition,
        remedy: "writes to that project's views are throttled and retried; split the project",
    },
    Limit {
        name: "a partition of due videos",
        demand: Load::hottest_due,
        most: PARTITION_WRITES,
        scope: Scope::Partition,
        remedy: "raise `DUE_SHARDS`; rows in fewer partitions are found",
    },
    Limit {
        name: "reads of the largest project's stream",
        demand: Load::hottest_project_reads,
        most: PARTITION_READS,
        scope: Scope::Partition,
        remedy: "accept a stated age of a project's record in place of a read for each upload; split the project",
    },
    Limit {
        name: "a stream of the largest project's grants in Kinesis",
        demand: Load::hottest_stream,
        most: SHARD_RECORDS,
        scope: Scope::Partition,
        remedy: "raise `GRANT_SHARDS`; until then the edge's queue sends throttled grants again",
    },
];

/// All tables, as Markdown.
pub fn tables() -> String {
    let mut text = String::new();
    for (heading, table) in [
        ("Units of one upload and one commit", unit_costs()),
        ("Load", load()),
        ("Hottest partitions", hottest()),
        ("What breaks first", breaks()),
        ("Cost of a month", cost()),
    ] {
        let _ = writeln!(text, "### {heading}\n\n{table}");
    }
    text
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().collect();
    format!("| {} |\n", cells.join(" | "))
}

fn header(cells: &[&str]) -> String {
    let rule = cells.iter().map(|_| "---").collect::<Vec<_>>().join("|");
    format!("| {} |\n|{rule}|\n", cells.join(" | "))
}

/// The names of the loads as a header, after `first`.
fn load_header(first: &str) -> String {
    header(&[&[first], LOADS.map(|(name, _)| name).as_slice()].concat())
}

fn load_row(name: &str, value: impl Fn(Load) -> f64) -> String {
    row([name.to_owned()].into_iter().chain(LOADS.map(|(_, load)| number(value(load)))))
}

fn unit_costs() -> String {
    let columns = [costs::UPLOAD, costs::REPORT, costs::playback_commit(1.0), costs::playback_commit(100.0)];
    let mut table = header(&[
        "units",
        "an upload, without progress",
        "a report of progress",
        "a commit of 1 playback grant",
        "of 100",
    ]);
    for (index, (name, _)) in costs::UPLOAD.parts().into_iter().enumerate() {
        let values = columns.map(|cost| number(cost.parts()[index].1));
        table += &row([name.to_owned()].into_iter().chain(values));
    }
    let total = |name: &str, value: fn(&Cost) -> f64| {
        row([name.to_owned()].into_iter().chain(columns.map(|cost| number(value(&cost)))))
    };
    table + &total("all writes", Cost::writes) + &total("all reads", Cost::reads)
}

fn load() -> String {
    load_header("each second")
        + &load_row("requests for grants to the edge", Load::edge_requests)
        + &load_row("records in Kinesis", Load::records)
        + &load_row("requests to DynamoDB", |load| load.dynamo().requests)
        + &load_row("write units of the ledger", |load| load.dynamo().ledger_writes)
        + &load_row("read units of the ledger", |load| load.dynamo().ledger_reads)
        + &load_row("write units of the views, with indexes", |load| {
            load.dynamo().writes() - load.dynamo().ledger_writes
        })
        + &load_row("read units of the views", |load| load.dynamo().view_reads)
        + &load_row("invocations of Lambda", Load::invocations)
        + &load_row("**at the same time:** invocations of Lambda", Load::concurrency)
        + &load_row("shards of Kinesis", Load::shards)
        + &load_row("workers", Load::workers)
}

fn hottest() -> String {
    let mut table = load_header("units or records each second, and the limit");
    for Limit { name, demand, most, scope, .. } in &LIMITS {
        if *scope == Scope::Partition {
            table += &load_row(&format!("{name} ({})", number(*most)), demand);
        }
    }
    table
}

/// The rate at which `limit` is reached, for a load of one a second of uploads or of playback grants; `None` if never.
pub(super) fn breaks_at(limit: &Limit, of: fn(f64) -> Load) -> Option<f64> {
    let (mut low, mut high) = (0.0, 1e9);
    if (limit.demand)(of(high)) < limit.most {
        return None;
    }
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if (limit.demand)(of(middle)) < limit.most {
            low = middle;
        } else {
            high = middle;
        }
    }
    Some(high)
}

/// `rate` uploads a second.
pub(super) fn uploads(rate: f64) -> Load {
    Load { uploads: rate, playbacks: 0.0 }
}

/// `rate` playback grants a second.
pub(super) fn playbacks(rate: f64) -> Load {
    Load { uploads: 0.0, playbacks: rate }
}

fn breaks() -> String {
    let mut text = String::new();
    for (heading, of) in
        [("uploads/s", uploads as fn(f64) -> Load), ("playback grants/s", playbacks as fn(f64) -> Load)]
    {
        let mut reached: Vec<(f64, &Limit)> =
            LIMITS.iter().filter_map(|limit| Some((breaks_at(limit, of)?, limit))).collect();
        reached.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        text += &header(&[heading, "reach this limit", "of", "what is done"]);
        for (rate, limit) in reached {
            let cells =
                [number(rate.floor()), limit.name.to_owned(), number(limit.most), limit.remedy.to_owned()];
            text += &row(cells);
        }
        text.push('\n');
    }
    text.pop();
    text
}

fn cost() -> String {
    let of_a_million = |load: Load| load.price().of_a_million(load.uploads.max(load.playbacks));
    load_header("US dollars")
        + &load_row("writes to DynamoDB", |load| load.price().writes)
        + &load_row("reads of DynamoDB", |load| load.price().reads)
        + &load_row("Kinesis", |load| load.price().kinesis)
        + &load_row("Lambda", |load| load.price().lambda)
        + &load_row("**a month**", |load| load.price().total())
        + &load_row("**a million uploads, or playback grants**", of_a_million)
}

/// A number with three significant digits, or all digits before the point, and separators of thousands.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if value < 100.0 {
        let decimals = if value >= 10.0 { 1 } else { 2 };
        let text = format!("{value:.decimals$}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

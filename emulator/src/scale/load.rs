//! What a load demands of each service, from the measured costs and these assumptions.

use super::costs::{self, Cost};
use super::{limits, prices};

/// Reports of progress of one upload: a minute of processing, and one every 15 seconds.
pub const REPORTS: f64 = 4.0;

/// How many projects there are. They have equal shares of the load, except the largest one.
pub const PROJECTS: f64 = 1000.0;

/// The largest project's share of the load.
pub const LARGEST_SHARE: f64 = 0.1;

/// How long records wait in Kinesis for a batch, in seconds.
pub const BATCH_SECONDS: f64 = 1.0;

/// The share of a shard's capacity that is used.
pub const SHARD_USE: f64 = 0.7;

/// The parallel streams of a project's playback grants.
pub const GRANT_STREAMS: f64 = 32.0;

/// The bytes of a fact in Kinesis.
pub const FACT_BYTES: f64 = 600.0;

/// The time of a request to DynamoDB, in seconds. Functions wait for most of their time.
pub const REQUEST_SECONDS: f64 = 0.005;

/// The memory of a function, in GB.
pub const FUNCTION_GB: f64 = 0.25;

/// The invocations for one upload: its event notification, `react` and `views` for its six commits and its reports, three states of its task,
/// and the grant and its reports in `intake`. Batches make them fewer.
pub const UPLOAD_INVOCATIONS: f64 = 1.0 + 2.0 * (6.0 + REPORTS) + 3.0 + 1.0 + REPORTS;

/// The partitions of due videos of one urgency.
pub const DUE_SHARDS: f64 = 64.0;

/// The share of the writes to the index of due videos that is of the busiest urgency, that of workers: a video enters it when it is started,
/// moves with each report and at its completion, and leaves it when it is ready: 4 + 8 of 10 + 8 units.
pub const WORKER_SHARE: f64 = 2.0 / 3.0;

/// The items that count a project's usage of a day.
pub const USAGE_ITEMS: f64 = 8.0;

/// The commits of an upload that count towards a project's usage: granted, completed, dispatched, ready.
pub const COUNTED_COMMITS: f64 = 4.0;

/// The commits of an upload: those four, started, completed, and its reports.
pub const COMMITS: f64 = 6.0 + REPORTS;

/// The units of an item in a transaction that writes less than 1 KB.
const TRANSACTION_UNITS: f64 = 2.0;

/// The seconds of a month, for prices.
const MONTH: f64 = 730.0 * 3600.0;

/// Rates, each a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Uploads.
    pub uploads: f64,
    /// Playback grants, without an Idempotency-Key.
    pub playbacks: f64,
}

/// The commits a second that hold `rate` playback grants a second of one project: of each of its streams at most one in a batch.
fn commits_of(rate: f64) -> f64 {
    let batches = 1.0 / BATCH_SECONDS;
    let expected = rate * BATCH_SECONDS / GRANT_STREAMS;
    GRANT_STREAMS * batches * (1.0 - (-expected).exp())
}

/// The cost a second of `rate` playback grants a second of one project.
fn playbacks_of(rate: f64) -> Cost {
    let commits = commits_of(rate);
    if commits == 0.0 { Cost::default() } else { costs::playback_commit(rate / commits).times(commits) }
}

impl Load {
    /// The part of the largest project.
    fn largest(self) -> Self {
        Self { uploads: self.uploads * LARGEST_SHARE, playbacks: self.playbacks * LARGEST_SHARE }
    }

    /// The commits a second of playback grants, of all projects.
    pub fn playback_commits(self) -> f64 {
        let others = PROJECTS - 1.0;
        let rate = self.playbacks * (1.0 - LARGEST_SHARE) / others;
        commits_of(self.largest().playbacks) + others * commits_of(rate)
    }

    /// What DynamoDB does in a second.
    pub fn dynamo(self) -> Cost {
        let others = PROJECTS - 1.0;
        let rate = self.playbacks * (1.0 - LARGEST_SHARE) / others;
        let upload = costs::UPLOAD.plus(costs::REPORT.times(REPORTS));
        upload
            .times(self.uploads)
            .plus(playbacks_of(self.largest().playbacks))
            .plus(playbacks_of(rate).times(others))
    }

    /// Requests a second to the edge for grants.
    pub fn edge_requests(self) -> f64 {
        self.uploads + self.playbacks
    }

    /// Records a second in Kinesis.
    pub fn records(self) -> f64 {
        self.uploads * (1.0 + REPORTS) + self.playbacks
    }

    /// The shards of Kinesis that are needed.
    pub fn shards(self) -> f64 {
        let of_records = self.records() / limits::SHARD_RECORDS;
        let of_bytes = self.records() * FACT_BYTES / limits::SHARD_BYTES;
        (of_records.max(of_bytes) / SHARD_USE).ceil().max(1.0)
    }

    /// Invocations a second of all functions. Playback grants are invoked in batches: one of `intake` for each shard, and one of `views` and
    /// of `react` for a hundred commits.
    pub fn invocations(self) -> f64 {
        let of_playbacks = if self.playbacks == 0.0 {
            0.0
        } else {
            self.shards() / BATCH_SECONDS + self.playback_commits() / 50.0
        };
        self.uploads * UPLOAD_INVOCATIONS + of_playbacks
    }

    /// Invocations at the same time.
    pub fn concurrency(self) -> f64 {
        self.dynamo().requests * REQUEST_SECONDS
    }

    /// Workers at the same time, at a minute for each.
    pub fn workers(self) -> f64 {
        self.uploads * 60.0
    }

    /// Writes a second to the feed of the largest project, one partition key.
    pub fn hottest_feed(self) -> f64 {
        let largest = self.largest();
        (largest.uploads * COMMITS + commits_of(largest.playbacks)) * TRANSACTION_UNITS
    }

    /// Writes a second to one item of the largest project's usage.
    pub fn hottest_usage(self) -> f64 {
        let largest = self.largest();
        let commits = largest.uploads * COUNTED_COMMITS + commits_of(largest.playbacks);
        commits * TRANSACTION_UNITS / USAGE_ITEMS
    }

    /// Writes a second to the largest project's list of videos in one state, if a third of the changes is in the busiest one.
    pub fn hottest_list(self) -> f64 {
        self.largest().uploads * costs::UPLOAD.by_state / 3.0
    }

    /// Writes a second to a partition of due videos of the busiest urgency.
    pub fn hottest_due(self) -> f64 {
        self.dynamo().by_due * WORKER_SHARE / DUE_SHARDS
    }

    /// Reads a second of the stream of the largest project: one at the acceptance of an upload, one at its dispatch.
    pub fn hottest_project_reads(self) -> f64 {
        self.largest().uploads * 2.0
    }

    /// Records a second with one partition key of Kinesis: a stream of playback grants of the largest project.
    pub fn hottest_stream(self) -> f64 {
        self.largest().playbacks / GRANT_STREAMS
    }

    /// The price of a month in US dollars.
    pub fn price(self) -> Price {
        let dynamo = self.dynamo();
        let millions = MONTH / 1e6;
        Price {
            writes: dynamo.writes() * millions * prices::WRITES,
            reads: dynamo.reads() * millions * prices::READS,
            kinesis: self.shards() * 730.0 * prices::SHARD_HOUR + self.records() * millions * prices::RECORDS,
            lambda: self.invocations() * millions * prices::INVOCATIONS
                + self.concurrency() * FUNCTION_GB * MONTH * prices::GB_SECOND,
        }
    }
}

/// The price of a month, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Writes to DynamoDB.
    pub writes: f64,
    /// Reads from DynamoDB.
    pub reads: f64,
    /// Kinesis.
    pub kinesis: f64,
    /// Lambda.
    pub lambda: f64,
}

impl Price {
    /// The sum.
    pub fn total(self) -> f64 {
        self.writes + self.reads + self.kinesis + self.lambda
    }

    /// The price of a million of what happens `rate` times a second.
    pub fn of_a_million(self, rate: f64) -> f64 {
        self.total() / (rate * MONTH) * 1e6
    }
}

//! What DynamoDB charges for one upload and for one commit of playback grants, in request units.
//!
//! Measured on the emulated cloud, which reports capacity by the same rules:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>. The scenarios
//! `an_upload_costs_what_the_model_of_scale_states` and `playback_grants_cost_what_the_model_of_scale_states` compare them with
//! what is consumed.

/// The units of the ledger, of the views, and of the indexes of the views.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Writes to the ledger.
    pub ledger_writes: f64,
    /// Reads of the ledger.
    pub ledger_reads: f64,
    /// Writes to the views, without their indexes.
    pub view_writes: f64,
    /// Reads of the views and of their indexes.
    pub view_reads: f64,
    /// Writes to the index of a project's videos.
    pub by_project: f64,
    /// Writes to the index of a project's videos in one state.
    pub by_state: f64,
    /// Writes to the index of due videos.
    pub by_due: f64,
    /// Requests to DynamoDB.
    pub requests: f64,
}

impl Cost {
    /// All write units.
    pub fn writes(&self) -> f64 {
        self.ledger_writes + self.view_writes + self.by_project + self.by_state + self.by_due
    }

    /// All read units.
    pub fn reads(&self) -> f64 {
        self.ledger_reads + self.view_reads
    }

    /// The cost of `count` times this.
    #[must_use]
    pub fn times(self, count: f64) -> Self {
        self.each(|value| value * count)
    }

    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            ledger_writes: self.ledger_writes + other.ledger_writes,
            ledger_reads: self.ledger_reads + other.ledger_reads,
            view_writes: self.view_writes + other.view_writes,
            view_reads: self.view_reads + other.view_reads,
            by_project: self.by_project + other.by_project,
            by_state: self.by_state + other.by_state,
            by_due: self.by_due + other.by_due,
            requests: self.requests + other.requests,
        }
    }

    fn each(self, change: impl Fn(f64) -> f64) -> Self {
        Self {
            ledger_writes: change(self.ledger_writes),
            ledger_reads: change(self.ledger_reads),
            view_writes: change(self.view_writes),
            view_reads: change(self.view_reads),
            by_project: change(self.by_project),
            by_state: change(self.by_state),
            by_due: change(self.by_due),
            requests: change(self.requests),
        }
    }

    /// The values with their names.
    pub fn parts(&self) -> [(&'static str, f64); 8] {
        [
            ("ledger, writes", self.ledger_writes),
            ("ledger, reads", self.ledger_reads),
            ("views, writes", self.view_writes),
            ("views, reads", self.view_reads),
            ("index by project, writes", self.by_project),
            ("index by state, writes", self.by_state),
            ("index of due videos, writes", self.by_due),
            ("requests", self.requests),
        ]
    }
}

/// An upload from its grant to `video.ready`, without reports of progress.
pub const UPLOAD: Cost = Cost {
    ledger_writes: 6.0,
    ledger_reads: 31.0,
    view_writes: 58.5,
    view_reads: 26.0,
    by_project: 1.0,
    by_state: 7.0,
    by_due: 9.5,
    requests: 62.0,
};

/// A report of progress, which a worker sends every 15 seconds.
pub const REPORT: Cost = Cost {
    ledger_writes: 1.0,
    ledger_reads: 3.5,
    view_writes: 8.0,
    view_reads: 4.0,
    by_project: 0.0,
    by_state: 0.0,
    by_due: 2.0,
    requests: 9.5,
};

/// A delivery of a webhook whose first attempt succeeds: two commits, their places in the feed, the row of the delivery in both of its states, and
/// the health of the endpoint.
pub const DELIVERY: Cost = Cost {
    ledger_writes: 3.0,
    ledger_reads: 6.0,
    view_writes: 15.0,
    view_reads: 9.0,
    by_project: 1.0,
    by_state: 1.0,
    by_due: 2.0,
    requests: 19.0,
};

/// The bytes of a commit's item beside its events.
pub const COMMIT_BYTES: f64 = 270.0;

/// The bytes of one playback grant among a commit's events.
pub const GRANT_BYTES: f64 = 330.0;

/// The bytes of a write unit.
const WRITE_UNIT_BYTES: f64 = 1024.0;

/// How many [repetitions](repetition) a commit of playback grants has on average: an assumption, because it depends on how many processes record
/// grants of one project at a time.
const REPETITIONS: f64 = 1.0 / 3.0;

/// A commit of `grants` playback grants, with the assumed repetitions.
pub fn playback_commit(grants: f64) -> Cost {
    undisturbed_playback_commit(grants).plus(repetition().times(REPETITIONS))
}

/// A commit of `grants` playback grants, without repetitions: at most one read of what is new in its stream, the item in the ledger, and the place in the project's
/// feed: a read of three items, and a transaction with four items of two units each, which are the next place, the entry of the feed, the place
/// of the commit, and the usage.
pub fn undisturbed_playback_commit(grants: f64) -> Cost {
    Cost {
        ledger_writes: ((COMMIT_BYTES + grants * GRANT_BYTES) / WRITE_UNIT_BYTES).ceil(),
        ledger_reads: 1.0,
        view_writes: 8.0,
        view_reads: 3.0,
        requests: 4.0,
        ..Cost::default()
    }
}

/// A transaction for the place of a commit that another process prevented: the read of three items before it, and both requests. DynamoDB
/// does not state what a cancelled transaction consumes.
pub fn repetition() -> Cost {
    Cost { view_reads: 3.0, requests: 2.0, ..Cost::default() }
}

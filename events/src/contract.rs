//! The contract of the [event log](crate::log) as tests that every adapter runs.
//!
//! An adapter says in a [`TestBed`] how its log is made and opened, and instantiates the suite in its tests:
//!
//! ```text
//! streamio_events::event_log_contract!(MyBed::new());
//! ```
//!
//! Each law gets a bed of its own. The crate needs `tokio` with its macros among its dev-dependencies.

mod appends;
mod contents;
mod given;
mod model;
mod model_races;
mod races;
mod reads;
mod scans;

use std::future::Future;

pub use self::appends::*;
pub use self::contents::*;
pub use self::model::*;
pub use self::model_races::*;
pub use self::races::*;
pub use self::reads::*;
pub use self::scans::*;
use crate::log::EventLog;

/// One empty log that can be opened any number of times.
pub trait TestBed: Send + Sync {
    /// The adapter under test.
    type Log: EventLog + 'static;

    /// Opens the bed's log. Each call gives a handle that shares as little as the adapter allows with those before:
    /// another client, another connection, as another process would have.
    fn open(&self) -> impl Future<Output = Self::Log> + Send;
}

/// Makes each law of the [contract](crate::contract) a test of the adapter whose [`TestBed`] the expression gives.
#[macro_export]
macro_rules! event_log_contract {
    ($bed:expr) => {
        $crate::event_log_contract! { $bed =>
            versions_have_no_gaps
            an_exact_expectation_is_met_or_is_a_conflict
            a_conflict_changes_nothing
            any_version_never_conflicts
            a_repeated_id_answers_the_commit_that_is_there
            a_repeated_id_wins_over_every_expectation
            an_id_may_be_used_in_several_streams
            what_is_not_admitted_is_refused_and_changes_nothing
            each_commit_is_chained_to_the_one_before
            what_was_acknowledged_is_there_when_the_log_is_opened_again
            of_racing_decisions_exactly_one_wins
            racing_facts_are_all_kept
            racing_retries_append_once
            readers_beside_writers_see_whole_commits_in_order
            a_stream_without_events_reads_as_empty
            every_limit_reads_the_same
            reading_begins_with_the_commit_that_holds_the_version
            a_commit_is_found_by_its_id_and_by_those_of_its_facts
            every_limit_scans_the_same
            parts_are_disjoint_and_complete
            a_scan_beside_writers_sees_what_was_there_exactly_once
            a_cursor_of_another_log_is_refused
            unknown_events_are_kept_to_the_letter
            numbers_are_kept_in_canonical_form
            odd_text_is_kept_to_the_letter
            a_commit_of_the_largest_size_is_kept
            pages_of_large_commits_hold_each_commit_once
            a_commit_of_many_events_is_kept_whole
        }

        #[test]
        fn any_interleaving_of_appends_answers_as_the_model_does() {
            $crate::contract::any_interleaving_of_appends_answers_as_the_model_does(&$bed);
        }

        #[test]
        fn any_race_leaves_a_log_that_agrees_with_its_answers() {
            $crate::contract::any_race_leaves_a_log_that_agrees_with_its_answers(&$bed);
        }
    };
    ($bed:expr => $($law:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $law() {
                $crate::contract::$law(&$bed).await;
            }
        )*
    };
}

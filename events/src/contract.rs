//! Contract tests of the [event log](crate::log::EventLog), which every adapter runs.
//!
//! An adapter describes in a [`LogHarness`] how its log is created and opened, and instantiates the suite in its
//! tests:
//!
//! ```text
//! streamio_events::event_log_contract!(MyHarness::new());
//! ```
//!
//! Each test gets its own harness. The crate needs `tokio` with its macros among its dev-dependencies.

mod appends;
mod contents;
mod fixtures;
mod harness;
mod model;
mod model_races;
mod races;
mod reads;
mod scans;

pub use self::appends::*;
pub use self::contents::*;
pub use self::harness::LogHarness;
pub use self::model::*;
pub use self::model_races::*;
pub use self::races::*;
pub use self::reads::*;
pub use self::scans::*;

/// Makes each property of the [contract](crate::contract) a test of the adapter whose [`LogHarness`] the expression
/// creates.
#[macro_export]
macro_rules! event_log_contract {
    ($harness:expr) => {
        $crate::event_log_contract! { $harness =>
            versions_have_no_gaps
            an_exact_expectation_is_met_or_conflicts
            a_conflict_changes_nothing
            expecting_any_version_never_conflicts
            a_repeated_id_returns_the_existing_commit
            a_repeated_id_takes_precedence_over_every_expectation
            an_id_may_be_used_in_several_streams
            an_inadmissible_commit_is_refused_and_changes_nothing
            each_commit_is_chained_to_the_one_before
            acknowledged_commits_exist_after_the_log_is_opened_again
            exactly_one_of_racing_decisions_succeeds
            racing_facts_are_all_kept
            racing_retries_append_once
            readers_during_writes_see_whole_commits_in_order
            a_stream_without_events_reads_as_empty
            every_page_limit_reads_the_same_commits
            reading_begins_with_the_commit_that_holds_the_version
            a_commit_is_found_by_its_id_and_by_those_of_its_facts
            every_page_limit_scans_the_same_commits
            parts_are_disjoint_and_complete
            a_scan_during_appends_returns_earlier_commits_exactly_once
            an_invalid_cursor_is_refused
            unknown_events_are_kept_unchanged
            numbers_are_kept_in_canonical_form
            unusual_text_is_kept_unchanged
            a_commit_of_the_maximum_size_is_kept
            pages_of_large_commits_return_each_commit_once
            a_commit_of_many_events_is_kept_whole
        }

        #[test]
        fn any_interleaving_of_calls_matches_the_model() {
            $crate::contract::any_interleaving_of_calls_matches_the_model(&$harness);
        }

        #[test]
        fn after_any_race_the_log_agrees_with_its_results() {
            $crate::contract::after_any_race_the_log_agrees_with_its_results(&$harness);
        }
    };
    ($harness:expr => $($property:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $property() {
                $crate::contract::$property(&$harness).await;
            }
        )*
    };
}

//! Contract tests of the [view store](crate::ports::view_store), which every adapter runs.
//!
//! An adapter describes in a [`ViewStoreHarness`] how its store is opened, and instantiates the suite in its tests:
//!
//! ```text
//! streamio_core::view_store_contract!(MyHarness::new());
//! ```
//!
//! Each test gets its own harness. The crate needs `tokio` with its macros among its dev-dependencies.

mod due;
mod fixtures;
mod harness;
mod lists;
mod rows;

pub use self::due::*;
pub use self::harness::ViewStoreHarness;
pub use self::lists::*;
pub use self::rows::*;

/// Makes each property of the [contract](crate::ports::view_store::contract) a test of the adapter whose [`ViewStoreHarness`] the
/// expression creates.
#[macro_export]
macro_rules! view_store_contract {
    ($harness:expr) => {
        $crate::view_store_contract! { $harness =>
            a_stored_row_is_returned_unchanged
            a_row_is_replaced_only_by_a_higher_version
            racing_writers_leave_the_highest_version
            lists_are_newest_first_in_pages_of_any_size
            a_list_read_during_writes_returns_each_video_once
            lists_are_filtered_by_prefix_metadata_and_state
            videos_without_a_status_are_not_listed
            a_cursor_of_another_list_is_refused
            due_videos_are_returned_longest_overdue_first
            urgent_work_is_found_before_any_amount_of_other_work
            the_parts_of_due_work_are_disjoint_and_complete
            a_deferred_video_is_due_at_its_time_or_with_its_next_version
        }
    };
    ($harness:expr => $($property:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                $crate::ports::view_store::contract::$property(&$harness).await;
            }
        )*
    };
}

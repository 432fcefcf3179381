//! What the [port](crate::ports::view_store) promises as tests that every adapter runs.
//!
//! An adapter says in a [`TestBed`] how its store is made, and instantiates the suite in its tests:
//!
//! ```text
//! streamio_core::view_store_contract!(MyBed::new());
//! ```
//!
//! Each law gets a bed of its own. The crate needs `tokio` with its macros among its dev-dependencies.

mod due;
mod given;
mod lists;
mod rows;

use std::future::Future;

pub use self::due::*;
pub use self::lists::*;
pub use self::rows::*;
use crate::ports::view_store::ViewStore;

/// One empty store that can be opened any number of times.
pub trait TestBed: Send + Sync {
    /// The adapter under test.
    type Store: ViewStore + 'static;

    /// Opens the bed's store.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;
}

/// Makes each law of the [contract](crate::ports::view_store::contract) a test of the adapter whose bed the expression gives.
#[macro_export]
macro_rules! view_store_contract {
    ($bed:expr) => {
        $crate::view_store_contract! { $bed =>
            a_row_is_got_as_it_was_put
            only_a_higher_version_takes_a_rows_place
            of_racing_writers_the_highest_version_stays
            lists_are_newest_first_in_pages_of_any_size
            a_list_read_beside_writers_shows_each_video_once_and_leaves_none_out
            videos_without_a_status_are_not_listed
            a_cursor_of_another_list_is_refused
            what_is_due_comes_longest_overdue_first
            a_deferred_video_comes_back_at_its_time_or_with_its_next_version
        }
    };
    ($bed:expr => $($law:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                $crate::ports::view_store::contract::$law(&$bed).await;
            }
        )*
    };
}

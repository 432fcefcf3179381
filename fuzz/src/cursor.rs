//! Cursors of lists and of the log.

use std::sync::LazyLock;

use streamio_events::log::{EventLog as _, Part};
use streamio_events::memory::MemoryLog;
use streamio_lambdas::adapters::dynamo::testing::{read_cursor, write_cursor};
use streamio_local::testing::reprint_cursor;

use crate::text;

static LOG: LazyLock<MemoryLog> = LazyLock::new(MemoryLog::new);

/// An accepted cursor is in its only spelling, and one of its list only. The first line is a list, the second one a cursor.
pub fn check(data: &[u8]) {
    let ([list, cursor], _) = text::lines(data);
    let (Some(list), Some(cursor)) = (text::of(list), text::of(cursor)) else { return };
    // A cursor of the log is a position.
    let is_position =
        cursor.parse::<i64>().is_ok_and(|position| position >= 0 && position.to_string() == cursor);
    let scanned = futures::executor::block_on(LOG.scan(Part::WHOLE, Some(cursor), 1));
    assert_eq!(scanned.is_ok(), is_position, "{cursor:?}");
    if let Some(place) = read_cursor(list, cursor) {
        assert_eq!(write_cursor(list, &place), cursor);
        assert_eq!(read_cursor(&format!("{list}x"), cursor), None);
    }
    if !list.contains('|') && !cursor.contains('|') {
        assert_eq!(read_cursor(list, &write_cursor(list, cursor)).as_deref(), Some(cursor));
    }
    if let Some(printed) = reprint_cursor(list, cursor) {
        assert_eq!(printed, cursor);
    }
}

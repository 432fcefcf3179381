//! The cursors of lists, for fuzzing. Feature `testing`.

use super::cursor;

/// The place that `text` states, if it is a cursor of `list`.
pub fn read_cursor(list: &str, text: &str) -> Option<String> {
    cursor::read(list, text)
}

/// The cursor of `list` at `place`.
pub fn write_cursor(list: &str, place: &str) -> String {
    cursor::write(list, place)
}

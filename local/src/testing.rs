//! The cursors of lists of videos, for fuzzing. Feature `testing`.

/// The cursor `text` of `list` as the store of views prints it; `None` if it is none.
pub fn reprint_cursor(list: &str, text: &str) -> Option<String> {
    crate::view_store::reprint_cursor(list, text)
}

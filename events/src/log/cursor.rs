use super::ReadError;

/// Parses the cursor of a log that numbers all commits: the decimal position, without sign or leading zeros.
pub(crate) fn cursor_position(cursor: &str) -> Result<u64, ReadError> {
    let position: Option<u64> = cursor.parse().ok();
    position
        .filter(|position| position.to_string() == cursor && i64::try_from(*position).is_ok())
        .ok_or_else(|| ReadError::InvalidCursor(cursor.to_owned()))
}

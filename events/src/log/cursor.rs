use super::ReadError;

/// The position that a scan's cursor stands for, in logs that number all commits: its digits and nothing else.
pub(crate) fn cursor_position(cursor: &str) -> Result<u64, ReadError> {
    let position: Option<u64> = cursor.parse().ok();
    position
        .filter(|position| position.to_string() == cursor && i64::try_from(*position).is_ok())
        .ok_or_else(|| ReadError::InvalidCursor(cursor.to_owned()))
}

//! Tags of audio tracks, as a playlist can contain them.

/// A language tag that is valid in a playlist. `None` for `und` and anything that is not a tag.
pub(super) fn language(text: &str) -> Option<String> {
    let tag = text.to_ascii_lowercase();
    let mut parts = tag.split('-');
    let primary = parts.next()?;
    let is_tag = (2..=3).contains(&primary.len())
        && primary.bytes().all(|byte| byte.is_ascii_lowercase())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    (is_tag && tag.len() <= 35 && primary != "und").then_some(tag)
}

/// A title that is valid in a quoted string of a playlist (RFC 8216, section 4.2: no line breaks, no double quote).
pub(super) fn title(text: &str) -> Option<String> {
    let clean: String =
        text.chars().filter(|character| !character.is_control() && *character != '"').take(64).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}

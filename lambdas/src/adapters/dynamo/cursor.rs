use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Separates a list from a place in it; neither contains this character.
const SEPARATOR: char = '|';

/// The cursor of `list` at `place`: opaque to clients and URL-safe.
pub(super) fn write(list: &str, place: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}{SEPARATOR}{place}"))
}

/// The place of `cursor`, if it is a cursor of `list`. The caller checks that the place is valid for the list.
pub(super) fn read(list: &str, cursor: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let place = text.strip_prefix(list)?.strip_prefix(SEPARATOR)?;
    Some(place.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_valid_only_for_its_own_list() {
        let cursor = write("list#acme", "2026#a");
        assert_eq!(read("list#acme", &cursor).as_deref(), Some("2026#a"));
        for other in ["list#acm", "list#acme#ready", "list#acme2", ""] {
            assert_eq!(read(other, &cursor), None, "{other}");
        }
        for text in ["", "%", "list#acme|2026#a", &format!("{cursor}="), &cursor[1..]] {
            assert_eq!(read("list#acme", text), None, "{text}");
        }
    }
}

//! Texts without the API keys in them.

use std::borrow::Cow;

/// What every API key begins with.
const START: &str = "sio_";

/// `text` with `sio_…` in place of everything in it that may be an API key or a part of one. For logs: a client may put its key where no
/// key belongs.
pub fn without_api_keys(text: &str) -> Cow<'_, str> {
    if !text.contains(START) {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut parts = text.split(START);
    masked.push_str(parts.next().unwrap_or_default());
    for part in parts {
        masked.push_str("sio_…");
        masked.push_str(part.trim_start_matches(|next: char| next.is_ascii_alphanumeric() || next == '_'));
    }
    Cow::Owned(masked)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api_key::ApiKey;

    proptest! {
        #[test]
        fn no_key_remains_and_nothing_else_changes(
            random: [u8; 32],
            before in "[ -~é]{0,8}",
            after in "[ -/:-@é]{0,8}",
        ) {
            prop_assume!(!before.contains("sio_"));
            let key = ApiKey::generate("live", random).unwrap();
            let text = format!("{before}{}{after}{}", key.reveal(), key.reveal());
            prop_assert_eq!(without_api_keys(&text), format!("{before}sio_…{after}sio_…"));
            for cut in 5..key.reveal().len() {
                let part = &key.reveal()[..cut];
                prop_assert!(!without_api_keys(part).contains(&part[4..]));
            }
        }
    }

    #[test]
    fn a_text_without_a_key_is_borrowed() {
        for text in ["", "/videos/vid_a", "SIO_LIVE", "sio", "sio-x"] {
            assert!(matches!(without_api_keys(text), Cow::Borrowed(same) if same == text));
        }
        assert_eq!(without_api_keys("sio_sio_a sio_"), "sio_…sio_… sio_…");
    }
}

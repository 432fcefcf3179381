//! Whole numbers in texts from outside.

use std::str::FromStr;

/// The number that `text` states in ASCII digits; `None` for anything else, and for a number that is too large. Rust's own parser
/// also takes a sign, so that one number would have several texts.
pub fn number<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::number;

    proptest! {
        #[test]
        fn only_digits_are_a_number(text in "[+-]?[0-9 ]{0,22}|.{0,3}") {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(number::<u64>(&text), text.parse().ok().filter(|_| is_number));
        }
    }

    #[test]
    fn a_sign_is_no_digit() {
        assert_eq!((number::<u32>("7"), number::<u32>("007")), (Some(7), Some(7)));
        for other in ["+7", "-7", "-0", " 7", "", "7.0", "\u{663}", "4294967296"] {
            assert_eq!(number::<u32>(other), None, "{other:?}");
        }
    }
}

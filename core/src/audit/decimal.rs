//! Decimal numbers as the C2SP formats write them.

/// The number that `text` states; `None` unless `text` is exactly how the number is written: ASCII digits without leading zeros.
pub(super) fn parse(text: &str) -> Option<u64> {
    // `parse` alone accepts a sign and leading zeros.
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(["0", "7", "18446744073709551615"].map(parse), [Some(0), Some(7), Some(u64::MAX)]);
        for text in ["", "00", "07", "+7", "-0", " 7", "7 ", "7\n", "18446744073709551616", "٧", "0x7"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}

//! S3's order of the event notifications of one key.

use std::cmp::Ordering;

/// The order of two S3 sequencers of the same key: hexadecimal digits, the shorter padded on the right with zeros
/// ([S3 event message structure](https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html)).
pub fn sequencer_order(a: &str, b: &str) -> Ordering {
    let length = a.len().max(b.len());
    let digits = |text: &str| -> Vec<u8> {
        text.bytes()
            .map(|byte| byte.to_ascii_lowercase())
            .chain(std::iter::repeat(b'0'))
            .take(length)
            .collect()
    };
    digits(a).cmp(&digits(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_is_that_of_hexadecimal_fractions(a in "[0-9A-F]{0,12}", b in "[0-9A-F]{0,12}") {
            let fraction = |text: &str| u64::from_str_radix(&format!("{text:0<12}"), 16).unwrap();
            prop_assert_eq!(sequencer_order(&a, &b), fraction(&a).cmp(&fraction(&b)));
        }
    }

    #[test]
    fn a_shorter_sequencer_is_padded_on_the_right() {
        assert_eq!(sequencer_order("0055AED6DCD90281E5", "0055AED6DCD90281E5FF"), Ordering::Less);
        assert_eq!(sequencer_order("00A", "0A"), Ordering::Less);
        assert_eq!(sequencer_order("0a", "0A00"), Ordering::Equal);
    }
}

//! Attribute lists of tags: `NAME=value,NAME="value"`.

use std::ops::Range;

/// The quoted attributes of a list, in order. Ends where the text is no attribute list, as in tags that have none.
pub(super) struct Attributes<'a> {
    tag: &'a [u8],
    at: usize,
}

/// The positions of an attribute in its tag.
pub(super) struct Attribute {
    pub(super) name: Range<usize>,
    /// Without the quotation marks.
    pub(super) value: Range<usize>,
}

impl<'a> Attributes<'a> {
    /// The attributes of the list that begins at `at`.
    pub(super) fn new(tag: &'a [u8], at: usize) -> Self {
        Self { tag, at }
    }

    /// The position of the next `byte` from `from` on.
    fn position_of(&self, byte: u8, from: usize) -> Option<usize> {
        self.tag.get(from..)?.iter().position(|other| *other == byte).map(|at| from + at)
    }

    /// The next attribute; its value is `None` if it is not quoted.
    fn next_of_any_kind(&mut self) -> Option<(Range<usize>, Option<Range<usize>>)> {
        let start = self.at
            + self.tag.get(self.at..)?.iter().take_while(|byte| matches!(byte, b',' | b' ' | b'\t')).count();
        let name = start..self.position_of(b'=', start)?;
        let is_name = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'-';
        if name.is_empty() || !self.tag[name.clone()].iter().all(is_name) {
            return None;
        }
        let value_at = name.end + 1;
        if self.tag.get(value_at) == Some(&b'"') {
            let value = value_at + 1..self.position_of(b'"', value_at + 1)?;
            self.at = value.end + 1;
            Some((name, Some(value)))
        } else {
            self.at = self.position_of(b',', value_at).unwrap_or(self.tag.len());
            Some((name, None))
        }
    }
}

impl Iterator for Attributes<'_> {
    type Item = Attribute;

    fn next(&mut self) -> Option<Attribute> {
        loop {
            if let (name, Some(value)) = self.next_of_any_kind()? {
                return Some(Attribute { name, value });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(tag: &str) -> Vec<(&str, &str)> {
        let list_at = tag.find(':').map_or(tag.len(), |colon| colon + 1);
        Attributes::new(tag.as_bytes(), list_at).map(|it| (&tag[it.name], &tag[it.value])).collect()
    }

    #[test]
    fn quoted_attributes_are_found_whatever_is_in_other_values() {
        assert_eq!(
            attributes("#EXT-X-MEDIA:TYPE=AUDIO,NAME=\"a, URI=b\" , URI=\"c\",N=1.5\r\n"),
            [("NAME", "a, URI=b"), ("URI", "c")]
        );
        assert_eq!(attributes("#EXT-X-MAP:URI=\"\",BYTERANGE=\"7@0\""), [("URI", ""), ("BYTERANGE", "7@0")]);
    }

    #[test]
    fn a_text_that_is_no_attribute_list_has_no_attributes() {
        for tag in [
            "#EXTM3U",
            "#EXT-X-VERSION:7",
            "#EXT-X-BYTERANGE:100@0",
            "#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05Z",
            "#EXT-X-MAP:URI",
            "#EXT-X-MAP:URI=\"a",
            "#EXT-X-MAP:uri=\"a\"",
            "#EXT-X-MAP:=\"a\"",
            "#EXT-X-MAP:",
        ] {
            assert_eq!(attributes(tag), [], "{tag}");
        }
        assert_eq!(attributes("#EXT-X-MAP:A=\"1\"x=\"2\""), [("A", "1")]);
    }
}

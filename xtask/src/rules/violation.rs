//! The violation of a rule.

use std::fmt;

/// A violation of a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Violation {
    /// A file with a line, or a package.
    place: String,
    /// The problem and its correction.
    pub(super) message: String,
}

impl Violation {
    pub(super) fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::Violation;

    #[test]
    fn the_text_of_a_violation_begins_with_its_place() {
        assert_eq!(Violation::new("edge/src/lib.rs:3", "no").to_string(), "edge/src/lib.rs:3: no");
    }
}

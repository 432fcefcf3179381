//! What is measured, and how much of it.

use std::time::Duration;

/// The number and the duration of the measurements of one figure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Rounds of each comparison.
    pub(super) rounds: u32,
    /// The duration of one load on one side.
    pub(super) turn: Duration,
}

/// The comparisons that are measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    /// A part of their names; `None` selects all.
    pub(super) only: Option<String>,
}

impl Selection {
    /// Whether the comparison of this name is measured.
    pub(super) fn has(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|part| name.contains(part))
    }
}

#[cfg(test)]
mod tests {
    use super::Selection;

    #[test]
    fn a_part_of_a_name_selects_the_comparison() {
        let some = Selection { only: Some("GET /play".to_owned()) };
        assert!(some.has("GET /play, two hours, c=32") && !some.has("POST /playback-url"));
        assert!(Selection::default().has("anything"));
    }
}

//! Which objects of deleted and replaced content must be removed, until their removal is recorded.

use serde::{Deserialize, Serialize};

use super::{Deletion, Video};
use crate::event::OutputsRemoved;
use crate::object_key::ProcessedKey;
use crate::timestamp::Timestamp;

/// Outputs that may be stored although nothing that is published has them: those of a deleted video, or those of a replaced one that the
/// publication after it has nothing for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unremoved {
    /// Since when.
    pub since: Timestamp,
    /// The deleted generation, or the published one.
    pub generation: u32,
}

impl Video {
    /// The outputs that must be removed now. `None` while an attempt is about to be published, which may write the same keys.
    pub fn outputs_to_remove(&self) -> Option<&Unremoved> {
        self.unremoved.as_ref().filter(|_| !self.is_about_to_publish())
    }

    /// The deletion after which the object in a bucket without versions is removed. `None` if something was uploaded
    /// since, or if a grant is open, with which that may happen at any time. Versions are removed by
    /// [`Step::RemoveVersions`](super::decide::Step).
    pub fn deletion_of_source(&self) -> Option<&Deletion> {
        let deleted = self.deleted.as_ref().filter(|deletion| deletion.version_id.is_none());
        deleted.filter(|_| self.upload.is_none() && self.open_grants.is_empty())
    }

    /// The [deletion of the source](Self::deletion_of_source) if it is not recorded that the object was removed.
    pub fn source_to_remove(&self) -> Option<&Deletion> {
        self.deletion_of_source().filter(|deletion| !deletion.source_removed)
    }

    /// Notes that the latest deletion, if anything had been uploaded, leaves outputs.
    pub(super) fn deletion_leaves_outputs(&mut self) {
        if let Some(Deletion { at, generation, .. }) = self.deleted {
            self.unremoved = Some(Unremoved { since: at, generation });
        }
    }

    /// Notes which outputs of earlier attempts are left after `generation` was published `at` this time.
    pub(super) fn publication_leaves_outputs(&mut self, at: Timestamp, generation: u32) {
        if self.unremoved.is_none() && self.left_keys().next().is_some() {
            self.unremoved = Some(Unremoved { since: at, generation });
        }
    }

    pub(super) fn outputs_removed(&mut self, removed: &OutputsRemoved) {
        if self.unremoved.as_ref().is_some_and(|it| it.generation == removed.generation) {
            self.removed_keys = self.left_keys().chain(&self.removed_keys).cloned().collect();
            self.unremoved = None;
        }
    }

    /// The stable keys that an attempt may have written, that nothing published has, and whose removal is not recorded.
    fn left_keys(&self) -> impl Iterator<Item = &ProcessedKey> {
        let is_used = |key| self.outputs.iter().any(|outputs| outputs.keys().any(|used| used == key));
        self.stable_keys.iter().filter(move |key| !is_used(*key) && !self.removed_keys.contains(*key))
    }
}

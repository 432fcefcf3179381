//! Versions of objects: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html>.

use data_encoding::{HEXLOWER, HEXUPPER};
use time::OffsetDateTime;

use super::error::{IoContext as _, StoreError};
use super::object::ObjectMeta;

/// The id of the version that was written while its bucket was not versioned, or while versioning was suspended.
pub const NULL_VERSION: &str = "null";

/// The random bytes of a version id.
const RANDOM_BYTES: usize = 16;
/// The bytes of a sequencer, with which a version id begins.
const SEQUENCER_BYTES: usize = 8;

/// Whether writes to a bucket keep the versions before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioning {
    /// The bucket was never versioned: a write replaces the object, a delete removes it.
    Off,
    /// Every write adds a version with an id of its own. A delete adds a delete marker.
    Enabled,
    /// Versions are kept, but new ones replace the version [`NULL_VERSION`].
    Suspended,
}

impl Versioning {
    /// Whether the bucket has version ids, which its responses and event notifications then name.
    pub fn has_ids(self) -> bool {
        self != Self::Off
    }

    /// Whether a version with this id can have existed in a bucket with this setting.
    pub(super) fn can_have_had(self, version_id: &str) -> bool {
        version_id == NULL_VERSION || (self.has_ids() && sequencer_in(version_id).is_some())
    }
}

/// A version of an object, or a delete marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion {
    /// The key, neither percent- nor form-encoded.
    pub key: String,
    /// The version id; [`NULL_VERSION`] in a bucket that was never versioned.
    pub version_id: String,
    /// Whether it is the newest version of its key. If it is a delete marker, the key has no current object.
    pub is_latest: bool,
    /// When it became visible, in whole milliseconds.
    pub last_modified: OffsetDateTime,
    /// 16 upper-case hex digits; a newer version of the same key has a greater one.
    pub sequencer: String,
    /// The object's metadata; `None` for a delete marker.
    pub object: Option<ObjectMeta>,
}

impl ObjectVersion {
    /// Whether it is a delete marker.
    pub fn is_delete_marker(&self) -> bool {
        self.object.is_none()
    }
}

/// What a delete did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Whether there was an object under the key; for the delete of a version, whether there was that version.
    pub found: bool,
    /// The delete marker that was added, or the version that was requested; `None` in a bucket that was never versioned.
    pub version_id: Option<String>,
    /// Whether that version is or was a delete marker.
    pub delete_marker: bool,
}

/// A new version id. It cannot be guessed: 128 of its bits are random. It begins with the sequencer, so that a listing
/// can continue after a version that was removed meanwhile.
pub(super) fn new_version_id(sequencer: &str) -> Result<String, StoreError> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(std::io::Error::other).io_context("generating a version id")?;
    Ok(id_of(sequencer, random))
}

/// A marker in the form of a version id, from which a listing continues after the version with this sequencer.
pub(super) fn marker_after(sequencer: &str) -> String {
    id_of(sequencer, [0; RANDOM_BYTES])
}

fn id_of(sequencer: &str, random: [u8; RANDOM_BYTES]) -> String {
    format!("{}{}", sequencer.to_ascii_lowercase(), HEXLOWER.encode(&random))
}

/// The sequencer in a version id; `None` if this store cannot have issued the id.
pub(super) fn sequencer_in(version_id: &str) -> Option<String> {
    let bytes = HEXLOWER.decode(version_id.as_bytes()).ok()?;
    (bytes.len() == SEQUENCER_BYTES + RANDOM_BYTES).then(|| HEXUPPER.encode(&bytes[..SEQUENCER_BYTES]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_id_is_url_safe_differs_each_time_and_contains_its_sequencer() {
        let sequencer = "00000000000000AF";
        let (one, other) = (new_version_id(sequencer).unwrap(), new_version_id(sequencer).unwrap());
        assert_ne!(one, other);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{one}");
        assert_eq!(sequencer_in(&one).as_deref(), Some(sequencer));
        assert_eq!(sequencer_in(&marker_after(sequencer)).as_deref(), Some(sequencer));
    }

    #[test]
    fn ids_of_another_form_have_no_sequencer() {
        let id = new_version_id("0000000000000001").unwrap();
        for other in
            ["", NULL_VERSION, "v1", &id[1..], &id.to_ascii_uppercase().replace('0', "A"), &format!("{id}00")]
        {
            assert_eq!(sequencer_in(other), None, "{other}");
        }
    }
}

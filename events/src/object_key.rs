//! Object keys in the two buckets. A new key is made from names in Unicode NFC; a key that exists is accepted or refused with a reason,
//! never rewritten into another key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::id::{InvalidId, ProjectId};
use crate::nfc::{is_nfc, to_nfc};

/// S3's limit on the length of a key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;

/// The longest suffix that Streamio adds to a processed key (`.hls/g…-a…/…`), in bytes. It is reserved in every source
/// key, so that no derived key exceeds S3's limit.
const RESERVED_SUFFIX_BYTES: usize = 96;

/// Why a key is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// The key is empty.
    #[error("is empty")]
    Empty,
    /// Longer than S3 allows once Streamio's own suffixes are added.
    #[error("is too long: with its prefix a key may have {limit} bytes of UTF-8, this has {bytes}")]
    TooLong {
        /// The size of the whole key in bytes.
        bytes: usize,
        /// The maximum size in bytes.
        limit: usize,
    },
    /// Not in Unicode normalization form C.
    #[error("is not in Unicode normalization form C (NFC); normalize it before use")]
    NotNormalized,
    /// A control character.
    #[error("contains the control character U+{0:04X}")]
    Control(u32),
    /// A backslash, which some systems treat as a separator.
    #[error("contains a backslash; separate folders with /")]
    Backslash,
    /// A leading slash.
    #[error("begins with a slash")]
    LeadingSlash,
    /// Two slashes in a row, or a slash at the end of a file name.
    #[error("contains an empty segment")]
    EmptySegment,
    /// A segment that file systems and URLs resolve to another path.
    #[error("contains the segment `.` or `..`")]
    DotSegment,
    /// A slash within a file name.
    #[error("contains a slash; give folders in `path`")]
    SlashInFilename,
    /// A segment that would collide with the files that Streamio writes next to a processed key.
    #[error("has a segment that ends in `.hls` or `.images`; these names are reserved")]
    ReservedSuffix,
    /// Not under the prefix of this kind of key.
    #[error("does not begin with `{expected}`")]
    WrongPrefix {
        /// The expected prefix.
        expected: String,
    },
    /// The project in the key is not a project id.
    #[error("does not name a project: {0}")]
    Project(#[from] InvalidId),
}

fn check_segments(rest: &str) -> Result<(), InvalidKey> {
    if rest.is_empty() {
        return Err(InvalidKey::Empty);
    }
    if let Some(control) = rest.chars().find(|character| character.is_control()) {
        return Err(InvalidKey::Control(u32::from(control)));
    }
    if rest.contains('\\') {
        return Err(InvalidKey::Backslash);
    }
    if rest.starts_with('/') {
        return Err(InvalidKey::LeadingSlash);
    }
    if !is_nfc(rest) {
        return Err(InvalidKey::NotNormalized);
    }
    for segment in rest.split('/') {
        match segment {
            "" => return Err(InvalidKey::EmptySegment),
            "." | ".." => return Err(InvalidKey::DotSegment),
            _ => {}
        }
    }
    Ok(())
}

fn check_length(key: &str, limit: usize) -> Result<(), InvalidKey> {
    if key.len() > limit { Err(InvalidKey::TooLong { bytes: key.len(), limit }) } else { Ok(()) }
}

/// Splits `{root}/{project}/{rest}`.
fn split_project<'a>(key: &'a str, root: &str) -> Result<(ProjectId, &'a str), InvalidKey> {
    let wrong_prefix = || InvalidKey::WrongPrefix { expected: format!("{root}/{{project_id}}/") };
    let after_root =
        key.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')).ok_or_else(wrong_prefix)?;
    let (project, rest) = after_root.split_once('/').ok_or_else(wrong_prefix)?;
    Ok((project.parse()?, rest))
}

macro_rules! key_text {
    ($name:ident) => {
        impl $name {
            /// The whole key.
            pub fn as_str(&self) -> &str {
                &self.key
            }

            /// The project that owns the key.
            pub fn project_id(&self) -> &ProjectId {
                &self.project_id
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.key)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.key)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

/// The key of an uploaded file in RAW: `projects/{project_id}/{path}{filename}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey {
    project_id: ProjectId,
    key: String,
}

key_text!(SourceKey);

impl SourceKey {
    const ROOT: &str = "projects";

    /// The key of `filename` in the folder `path` of `project_id`. `path` is empty or folders separated by `/`, with or
    /// without a slash at its end. Both are normalized to NFC: a user sees no difference, and another form of the same name would be
    /// another video.
    pub fn new(project_id: &ProjectId, path: &str, filename: &str) -> Result<Self, InvalidKeyPart> {
        let (path, filename) = (&*to_nfc(path), &*to_nfc(filename));
        if !path.is_empty() {
            check_segments(path.strip_suffix('/').unwrap_or(path)).map_err(InvalidKeyPart::Path)?;
        }
        if filename.contains('/') {
            return Err(InvalidKeyPart::Filename(InvalidKey::SlashInFilename));
        }
        check_segments(filename).map_err(InvalidKeyPart::Filename)?;
        let separator = if path.is_empty() || path.ends_with('/') { "" } else { "/" };
        let rest = format!("{path}{separator}{filename}");
        // Check the joined text again: its length, and the reserved names.
        Self::from_rest(project_id, &rest).map_err(|error| match error {
            InvalidKey::ReservedSuffix if !has_reserved_suffix(filename) => InvalidKeyPart::Path(error),
            _ => InvalidKeyPart::Filename(error),
        })
    }

    fn from_rest(project_id: &ProjectId, rest: &str) -> Result<Self, InvalidKey> {
        check_segments(rest)?;
        if rest.split('/').any(has_reserved_suffix) {
            return Err(InvalidKey::ReservedSuffix);
        }
        let key = format!("{}/{project_id}/{rest}", Self::ROOT);
        // `processed/` is one byte longer than `projects/`.
        check_length(&key, MAX_KEY_BYTES - RESERVED_SUFFIX_BYTES - 1)?;
        Ok(Self { project_id: project_id.clone(), key })
    }

    /// The part of the key after `projects/{project_id}/`.
    pub fn rest(&self) -> &str {
        &self.key[Self::ROOT.len() + 1 + self.project_id.as_str().len() + 1..]
    }

    /// The key of the progressive MP4 made from this source.
    pub fn processed(&self) -> ProcessedKey {
        ProcessedKey {
            project_id: self.project_id.clone(),
            key: format!("{}/{}/{}", ProcessedKey::ROOT, self.project_id, self.rest()),
        }
    }
}

#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "object keys are case-sensitive")]
fn has_reserved_suffix(segment: &str) -> bool {
    segment.ends_with(".hls") || segment.ends_with(".images")
}

impl FromStr for SourceKey {
    type Err = InvalidKey;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        let (project_id, rest) = split_project(key, Self::ROOT)?;
        Self::from_rest(&project_id, rest)
    }
}

/// The invalid part of a source key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeyPart {
    /// The folder.
    #[error("path {0}")]
    Path(#[source] InvalidKey),
    /// The file's name.
    #[error("filename {0}")]
    Filename(#[source] InvalidKey),
}

/// A key in PROCESSED: `processed/{project_id}/…`. Either a video's progressive MP4, or a file next to it such as
/// `….hls/master.m3u8` or `….images/poster.jpg`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessedKey {
    project_id: ProjectId,
    key: String,
}

key_text!(ProcessedKey);

impl ProcessedKey {
    const ROOT: &str = "processed";

    /// The folder of the adaptive stream of the video whose MP4 is at this key, with a slash at its end.
    pub fn hls_prefix(&self) -> String {
        format!("{}.hls/", self.key)
    }

    /// The master playlist of the video whose MP4 is at this key.
    #[must_use]
    pub fn hls_master(&self) -> Self {
        self.with_suffix(".hls/master.m3u8")
    }

    /// The poster image of the video whose MP4 is at this key.
    #[must_use]
    pub fn poster(&self) -> Self {
        self.with_suffix(".images/poster.jpg")
    }

    /// The folder that one attempt writes into, with a slash at its end. It is inside [`Self::hls_prefix`], so that
    /// one wildcard policy covers the master playlist and everything that it refers to.
    pub fn attempt_prefix(&self, generation: u32, attempt: u32) -> String {
        format!("{}.hls/g{generation}-a{attempt}/", self.key)
    }

    /// The generation and attempt whose [prefix](Self::attempt_prefix) contains `key` or equals it.
    pub fn attempt_of(&self, key: &str) -> Option<(u32, u32)> {
        let (folder, _) = key.strip_prefix(&self.hls_prefix())?.split_once('/')?;
        let (generation, attempt) = folder.strip_prefix('g')?.split_once("-a")?;
        let (generation, attempt) = (generation.parse().ok()?, attempt.parse().ok()?);
        // Another spelling of the numbers is another folder.
        key.starts_with(&self.attempt_prefix(generation, attempt)).then_some((generation, attempt))
    }

    fn with_suffix(&self, suffix: &str) -> Self {
        Self { project_id: self.project_id.clone(), key: format!("{}{suffix}", self.key) }
    }
}

impl FromStr for ProcessedKey {
    type Err = InvalidKey;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        let (project_id, rest) = split_project(key, Self::ROOT)?;
        check_segments(rest)?;
        check_length(key, MAX_KEY_BYTES)?;
        Ok(Self { project_id, key: key.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn acme() -> ProjectId {
        "acme".parse().unwrap()
    }

    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            ".*",
            "[a./\\\\%+ \u{0}\u{7f}\u{85}é\u{301}-]{0,12}",
            "(\\.\\./|%2e%2e/|projects/other/|/){0,3}[a-z]{0,3}",
        ]
    }

    #[test]
    fn the_longest_keys_are_accepted_and_longer_ones_are_not() {
        // 1,024 bytes of S3, without 96 for the longest suffix and one because `processed` is longer than `projects`.
        let of = |bytes: usize| "a".repeat(bytes - "projects/acme/".len());
        let too_long = |bytes, limit| InvalidKey::TooLong { bytes, limit };
        assert_eq!(SourceKey::new(&acme(), "", &of(927)).unwrap().as_str().len(), 927);
        assert_eq!(SourceKey::new(&acme(), "", &of(928)), Err(InvalidKeyPart::Filename(too_long(928, 927))));
        let processed =
            |bytes: usize| format!("processed/acme/{}", "a".repeat(bytes - "processed/acme/".len()));
        assert!(processed(1024).parse::<ProcessedKey>().is_ok());
        assert_eq!(processed(1025).parse::<ProcessedKey>(), Err(too_long(1025, 1024)));
    }

    #[test]
    fn only_keys_under_an_attempts_prefix_belong_to_it() {
        let processed: ProcessedKey = "processed/acme/a.mp4".parse().unwrap();
        let of = |rest: &str| processed.attempt_of(&format!("processed/acme/a.mp4.hls/{rest}"));
        assert_eq!((of("g2-a10/720p/00000.m4s"), of("g2-a10/")), (Some((2, 10)), Some((2, 10))));
        for other in [
            "master.m3u8",
            "g1-a1",
            "g1/x",
            "ga-a1/x",
            "g1-ax/x",
            "x1-a1/x",
            "g1-a1x/y",
            "g-1-a1/y",
            "g1-a01/y",
            "g+1-a1/y",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(processed.attempt_of("processed/acme/b.mp4.hls/g1-a1/x"), None);
    }

    proptest! {
        #[test]
        fn an_accepted_source_key_is_in_its_project_and_round_trips(path in hostile(), filename in hostile()) {
            if let Ok(key) = SourceKey::new(&acme(), &path, &filename) {
                prop_assert!(key.as_str().starts_with("projects/acme/"));
                prop_assert_eq!(key.as_str().parse::<SourceKey>(), Ok(key.clone()));
                prop_assert!(key.as_str().ends_with(&*to_nfc(&filename)));
                prop_assert_eq!(SourceKey::new(&acme(), &to_nfc(&path), &to_nfc(&filename)), Ok(key.clone()));
                prop_assert!(!key.as_str().split('/').any(|segment| matches!(segment, "" | "." | "..")));
                prop_assert_eq!(["projects/acme/", key.rest()].concat(), key.as_str());
                let processed = key.processed();
                prop_assert_eq!(["processed/acme/", key.rest()].concat(), processed.as_str());
                prop_assert_eq!(processed.as_str().parse::<ProcessedKey>(), Ok(processed.clone()));
                prop_assert_eq!(processed.hls_master().as_str().parse::<ProcessedKey>(), Ok(processed.hls_master()));
                prop_assert!(processed.attempt_prefix(u32::MAX, u32::MAX).len() <= MAX_KEY_BYTES - 48);
                prop_assert_eq!(processed.attempt_of(&processed.attempt_prefix(u32::MAX, 7)), Some((u32::MAX, 7)));
            }
        }

        #[test]
        fn an_accepted_key_is_kept_unchanged(key in hostile().prop_map(|rest| format!("processed/acme/{rest}"))) {
            if let Ok(parsed) = key.parse::<ProcessedKey>() {
                prop_assert_eq!(parsed.as_str(), key);
                prop_assert_eq!(parsed.project_id(), &acme());
            }
        }
    }

    #[test]
    fn each_refusal_states_its_reason() {
        use InvalidKey::*;
        let filename = |name: &str| SourceKey::new(&acme(), "", name);
        for (name, reason) in [
            ("", Empty),
            ("a/b", SlashInFilename),
            ("a\\b", Backslash),
            ("a\0b", Control(0)),
            ("a\u{7f}", Control(0x7f)),
            ("..", DotSegment),
            (".", DotSegment),
            ("clip.hls", ReservedSuffix),
            ("clip.images", ReservedSuffix),
        ] {
            assert_eq!(filename(name), Err(InvalidKeyPart::Filename(reason)), "{name:?}");
        }
        for (path, reason) in [
            ("/a", LeadingSlash),
            ("a//b", EmptySegment),
            ("a//", EmptySegment),
            ("/", Empty),
            ("a/../b", DotSegment),
            ("x.hls/", ReservedSuffix),
        ] {
            assert_eq!(SourceKey::new(&acme(), path, "f"), Err(InvalidKeyPart::Path(reason)), "{path:?}");
        }
        assert!(matches!(
            filename(&"a".repeat(1024)),
            Err(InvalidKeyPart::Filename(TooLong { bytes: 1038, .. }))
        ));
        assert_eq!("projects/acme/e\u{301}.mp4".parse::<SourceKey>(), Err(NotNormalized));
        assert!(matches!("projects/other".parse::<SourceKey>(), Err(WrongPrefix { .. })));
        assert!(matches!("projects/../x".parse::<SourceKey>(), Err(Project(_))));
    }

    #[test]
    fn a_new_key_is_in_nfc_whatever_the_form_of_the_names() {
        let key =
            SourceKey::new(&acme(), "Ferie\u{301}n/Ko\u{308}ln", "Cafe\u{301} \u{1112}\u{1161}\u{11ab}.mov")
                .unwrap();
        assert_eq!(key.as_str(), "projects/acme/Feri\u{e9}n/K\u{f6}ln/Caf\u{e9} \u{d55c}.mov");
        // U+2126 OHM SIGN has a canonical equivalent, U+FB01 LATIN SMALL LIGATURE FI has none: NFC keeps it.
        assert_eq!(
            SourceKey::new(&acme(), "", "\u{2126}\u{fb01}").unwrap().as_str(),
            "projects/acme/\u{3a9}\u{fb01}"
        );
    }

    #[test]
    fn a_path_is_the_same_with_and_without_its_last_slash() {
        assert_eq!(SourceKey::new(&acme(), "a/b", "c.mp4"), SourceKey::new(&acme(), "a/b/", "c.mp4"));
        assert_eq!(SourceKey::new(&acme(), "a/b", "c.mp4").unwrap().as_str(), "projects/acme/a/b/c.mp4");
    }
}

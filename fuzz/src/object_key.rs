//! Object keys, and file names in any Unicode normalization form.

use icu_normalizer::ComposingNormalizerBorrowed;
use streamio_events::id::ProjectId;
use streamio_events::object_key::{ProcessedKey, SourceKey};

use crate::text;

/// The longest key, in bytes. The reserved names after a source key take 96 and one byte of it.
const MAX_BYTES: usize = 1024;

/// Accepted keys obey the documented grammar, are kept unchanged, and lead to keys of the same project. The first line is a path, the
/// rest a file name; the whole is also a key.
pub fn check(data: &[u8]) {
    if let Some(key) = text::of(data) {
        check_key(key);
    }
    let ([path], filename) = text::lines(data);
    if let (Some(path), Some(filename)) = (text::of(path), text::of(filename)) {
        check_names(path, filename);
    }
}

#[expect(clippy::case_sensitive_file_extension_comparisons, reason = "object keys are case-sensitive")]
fn check_key(text: &str) {
    if let Ok(key) = text.parse::<SourceKey>() {
        assert_eq!(key.as_str(), text);
        assert!(is_key(text, "projects"), "{text:?}");
        assert!(text.len() < MAX_BYTES - 96);
        assert!(
            text.split('/')
                .skip(2)
                .all(|segment| !segment.ends_with(".hls") && !segment.ends_with(".images"))
        );
        check_processed(&key);
    }
    if let Ok(key) = text.parse::<ProcessedKey>() {
        assert_eq!(key.as_str(), text);
        assert!(is_key(text, "processed") && text.len() <= MAX_BYTES, "{text:?}");
        // Each key below the one that the text names belongs to an attempt only if it is under the prefix of the attempt.
        let (video, rest) = text.split_once(".hls/").unwrap_or((text, ""));
        if let Ok(video) = video.parse::<ProcessedKey>()
            && let Some((generation, attempt)) = video.attempt_of(text)
        {
            assert!(text.starts_with(&video.attempt_prefix(generation, attempt)), "{rest:?}");
        }
    }
}

fn check_processed(key: &SourceKey) {
    let processed = key.processed();
    for derived in [processed.clone(), processed.hls_master(), processed.poster()] {
        assert_eq!(derived.as_str().parse::<ProcessedKey>().as_ref(), Ok(&derived));
        assert_eq!(derived.project_id(), key.project_id());
    }
    assert!(processed.attempt_prefix(u32::MAX, u32::MAX).len() <= MAX_BYTES - 48);
    let json = serde_json::to_string(key).expect("a key is text");
    assert_eq!(&serde_json::from_str::<SourceKey>(&json).expect("it was written"), key);
}

fn check_names(path: &str, filename: &str) {
    let project_id: ProjectId = "acme".parse().expect("it is an id");
    let nfc = ComposingNormalizerBorrowed::new_nfc();
    let made = SourceKey::new(&project_id, path, filename);
    // Names that are equivalent in Unicode are one name.
    let composed = SourceKey::new(&project_id, &nfc.normalize(path), &nfc.normalize(filename));
    assert_eq!(made, composed);
    if let Ok(key) = made {
        assert!(key.as_str().starts_with("projects/acme/") && is_key(key.as_str(), "projects"));
        assert!(key.as_str().ends_with(&*nfc.normalize(filename)));
        assert_eq!(key.as_str().parse::<SourceKey>().as_ref(), Ok(&key));
    }
}

/// Whether `key` is `<root>/<project>/…` by the documented rules, read independently of the product.
fn is_key(key: &str, root: &str) -> bool {
    let segments: Vec<&str> = key.split('/').collect();
    let [first, project, names @ ..] = &segments[..] else { return false };
    let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    *first == root
        && (3..=40).contains(&project.len())
        && project.bytes().all(is_plain)
        && !project.starts_with('-')
        && !project.ends_with('-')
        && !names.is_empty()
        && names.iter().all(|name| !matches!(*name, "" | "." | ".."))
        && !key.chars().any(|character| character.is_control() || character == '\\')
        && ComposingNormalizerBorrowed::new_nfc().is_normalized(key)
}

//! Limits of a project's use, and a video's metadata.

use streamio_events::limits::{Limit, OwnLimits};
use streamio_events::metadata::{self, MetadataPatch};

use crate::text;

/// A limit is a whole number or a word, as text and as JSON. A patch of metadata is what RFC 7396 defines.
pub fn check(data: &[u8]) {
    let Some(text) = text::of(data) else { return };
    if let Ok(limit) = text.parse::<Limit>() {
        assert!(text == "unlimited" || text.bytes().all(|byte| byte.is_ascii_digit()), "{text:?}");
        assert_eq!(limit.to_string().parse(), Ok(limit));
        let json = serde_json::to_string(&limit).expect("a limit is plain data");
        assert_eq!(serde_json::from_str::<Limit>(&json).expect("it was written"), limit);
        assert_eq!(
            limit.is_exceeded_by(u64::MAX),
            !matches!(limit, Limit::Unlimited | Limit::AtMost(u64::MAX))
        );
    }
    if let Ok(limits) = serde_json::from_str::<OwnLimits>(text) {
        let json = serde_json::to_string(&limits).expect("limits are plain data");
        assert_eq!(serde_json::from_str::<OwnLimits>(&json).expect("they were written"), limits);
    }
    if let Ok(patch) = serde_json::from_str::<MetadataPatch>(text) {
        check_patch(&patch);
    }
    if metadata::is_name(text) {
        assert!(!text.is_empty() && text.len() <= 64 && text.is_ascii() && text.to_ascii_lowercase() == text);
    }
    if metadata::is_value(text) {
        assert!(text.len() <= 1024 && !text.contains(char::is_control));
    }
}

/// Applied twice, a patch has the same result as once.
fn check_patch(patch: &MetadataPatch) {
    let json = serde_json::to_string(patch).expect("a patch is plain data");
    assert_eq!(&serde_json::from_str::<MetadataPatch>(&json).expect("it was written"), patch);
    let mut entries = metadata::Metadata::from([("kept".to_owned(), String::new())]);
    metadata::apply(&mut entries, patch);
    let once = entries.clone();
    metadata::apply(&mut entries, patch);
    assert_eq!(entries, once);
    if let MetadataPatch::Entries(changed) = patch {
        for (name, value) in changed {
            assert_eq!(entries.get(name), value.as_ref());
        }
    }
}

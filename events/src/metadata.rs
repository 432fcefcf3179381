//! A video's metadata: the tenant's own texts by name, given with an upload and changed later.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The entries by name.
pub type Metadata = BTreeMap<String, String>;

/// A change of the entries, as a JSON merge patch (RFC 7396).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MetadataPatch {
    /// The changed entries: `None` removes an entry, a text adds or replaces it.
    Entries(BTreeMap<String, Option<String>>),
    /// Removes all entries. In JSON `null`.
    RemoveAll,
}

impl Default for MetadataPatch {
    /// Changes nothing.
    fn default() -> Self {
        Self::Entries(BTreeMap::new())
    }
}

impl FromIterator<(String, Option<String>)> for MetadataPatch {
    fn from_iter<I: IntoIterator<Item = (String, Option<String>)>>(entries: I) -> Self {
        Self::Entries(entries.into_iter().collect())
    }
}

/// The most entries of a video.
pub const MAX_ENTRIES: usize = 32;
/// The longest name, in characters.
pub const MAX_NAME_BYTES: usize = 64;
/// The longest value, in bytes of UTF-8.
pub const MAX_VALUE_BYTES: usize = 1024;

/// Whether `name` can name an entry: 1 to 64 of a-z, 0-9 and -.
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain)
}

/// Whether `value` can be the value of an entry: at most 1,024 bytes of UTF-8 without control characters.
pub fn is_value(value: &str) -> bool {
    value.len() <= MAX_VALUE_BYTES && !value.chars().any(char::is_control)
}

/// Applies `patch` to `metadata`. Entries that it does not name stay, unless it removes all.
pub fn apply(metadata: &mut Metadata, patch: &MetadataPatch) {
    let MetadataPatch::Entries(entries) = patch else {
        metadata.clear();
        return;
    };
    for (name, value) in entries {
        match value {
            Some(value) => metadata.insert(name.clone(), value.clone()),
            None => metadata.remove(name),
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// RFC 7396, section 2, as it is written there.
    fn merge_patch(target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut target = match target {
            Value::Object(target) => target,
            _ => serde_json::Map::new(),
        };
        for (name, value) in patch {
            if value.is_null() {
                target.remove(name);
            } else {
                let old = target.get(name).cloned().unwrap_or(Value::Null);
                target.insert(name.clone(), merge_patch(old, value));
            }
        }
        Value::Object(target)
    }

    proptest! {
        #[test]
        fn a_patch_has_the_result_that_rfc_7396_defines(
            before in prop::collection::btree_map("[a-c]", "[x-z]{0,2}", 0..4),
            patch in prop::collection::btree_map("[a-d]", prop::option::of("[x-z]{0,2}"), 0..4),
        ) {
            let mut after = before.clone();
            apply(&mut after, &patch.clone().into_iter().collect());
            prop_assert_eq!(json!(after), merge_patch(json!(before), &json!(patch)));
        }
    }

    #[derive(Debug, Deserialize)]
    struct Body {
        #[expect(dead_code, reason = "only parsed")]
        metadata: MetadataPatch,
    }

    #[test]
    fn a_null_removes_all_entries_and_only_a_null_does() {
        let before: Metadata = [("a".to_owned(), "x".to_owned())].into();
        let object = json!({ "metadata": before });
        for (patch, expected) in [
            (json!(null), Metadata::new()),
            (json!({}), before.clone()),
            (json!({ "a": null }), Metadata::new()),
        ] {
            let read: MetadataPatch = serde_json::from_value(patch.clone()).unwrap();
            assert_eq!(json!(read), patch);
            let mut after = before.clone();
            apply(&mut after, &read);
            assert_eq!(after, expected, "{patch}");
            let merged = merge_patch(object.clone(), &json!({ "metadata": patch }));
            assert_eq!(json!(after), merged.get("metadata").cloned().unwrap_or(json!({})));
        }
        for other in [json!([]), json!("a"), json!(false), json!({ "a": 1 })] {
            assert!(serde_json::from_value::<MetadataPatch>(other).is_err());
        }
        assert!(serde_json::from_str::<Body>("{}").is_err(), "an absent patch is none");
    }

    #[test]
    fn names_and_values_outside_their_limits_are_recognised() {
        assert!(is_name("a-1") && is_name(&"a".repeat(64)) && is_value("") && is_value(&"é".repeat(512)));
        for name in ["", "A", "a_b", "é", "a.b", &"a".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
        assert!(!is_value(&"é".repeat(513)) && !is_value("a\nb"));
    }
}

//! Metadata in requests.

use streamio_events::metadata::{
    MAX_ENTRIES, MAX_NAME_BYTES, MAX_VALUE_BYTES, Metadata, MetadataPatch, is_name, is_value,
};

use crate::problem::{FieldError, Problem, ProblemKind};
use crate::request::{Fields, Query};

/// What is wrong with an entry; its value is `None` if the entry is to be removed.
pub(super) fn entry_mistakes(name: &str, value: Option<&str>) -> Vec<String> {
    let mut mistakes = Vec::new();
    if !is_name(name) {
        mistakes.push(format!("must be named with 1 to {MAX_NAME_BYTES} of a-z, 0-9 and -"));
    }
    if value.is_some_and(|value| !is_value(value)) {
        mistakes.push(format!("must be at most {MAX_VALUE_BYTES} bytes of UTF-8 without control characters"));
    }
    mistakes
}

/// The required field `metadata` of a merge patch.
pub(super) fn take_patch(fields: &mut Fields) -> MetadataPatch {
    if fields.is_null("metadata") {
        return MetadataPatch::RemoveAll;
    }
    let patch = fields.texts_or_null("metadata").unwrap_or_default();
    if patch.is_empty() && !fields.has_error("metadata") {
        let detail = "is missing or empty: give the entries to change; `null` removes one, and in place of them all it removes all";
        fields.refuse("metadata", detail);
    }
    // A patch may remove as many entries as there can be, and add as many.
    if patch.len() > 2 * MAX_ENTRIES {
        fields.refuse("metadata", format!("must have at most {} entries", 2 * MAX_ENTRIES));
    }
    for (name, value) in &patch {
        for mistake in entry_mistakes(name, value.as_deref()) {
            fields.refuse(&format!("metadata.{name}"), mistake);
        }
    }
    MetadataPatch::Entries(patch)
}

/// The entries that the parameters `metadata.{name}` ask for.
pub(super) fn take_filter(query: &mut Query) -> Result<Metadata, Problem> {
    let wanted = query.take_prefixed("metadata.", "metadata.{name}");
    let mistakes: Vec<FieldError> = wanted
        .iter()
        .flat_map(|(name, value)| {
            let field = format!("metadata.{name}");
            entry_mistakes(name, Some(value)).into_iter().map(move |mistake| FieldError::new(&field, mistake))
        })
        .collect();
    if !mistakes.is_empty() {
        return Err(Problem::fields(ProblemKind::InvalidParameter, mistakes));
    }
    if wanted.len() > MAX_ENTRIES {
        return Err(Problem::parameter("metadata", format!("can be given for at most {MAX_ENTRIES} names")));
    }
    Ok(wanted.into_iter().collect())
}

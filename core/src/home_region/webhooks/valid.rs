//! Checks the values of calls about webhooks.

use streamio_events::home::HomeError;
use streamio_events::webhook::TypePattern;
use streamio_events::webhook::endpoint::{MAX_DESCRIPTION_BYTES, MAX_RATE_LIMIT};

/// The types without repetitions, in order.
pub(super) fn valid_types(types: &[TypePattern]) -> Result<Vec<TypePattern>, HomeError> {
    let mut types = types.to_vec();
    types.sort();
    types.dedup();
    if types.is_empty() {
        return Err(invalid("types", "must have at least one type; `*` is all but video.progress"));
    }
    Ok(types)
}

pub(super) fn valid_description(text: Option<&str>) -> Result<Option<String>, HomeError> {
    if text.is_some_and(|text| text.len() > MAX_DESCRIPTION_BYTES || text.chars().any(char::is_control)) {
        let most =
            format!("must be at most {MAX_DESCRIPTION_BYTES} bytes of UTF-8 without control characters");
        return Err(invalid("description", most));
    }
    Ok(text.map(str::to_owned))
}

pub(super) fn valid_rate_limit(limit: Option<u32>) -> Result<Option<u32>, HomeError> {
    if limit.is_some_and(|limit| limit > MAX_RATE_LIMIT) {
        return Err(invalid("rateLimit", format!("must be at most {MAX_RATE_LIMIT} attempts a second")));
    }
    Ok(limit)
}

pub(super) fn invalid(field: &str, text: impl Into<String>) -> HomeError {
    HomeError::Invalid { field: field.to_owned(), text: text.into() }
}

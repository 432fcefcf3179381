//! Parses and validates untrusted request input: headers, query and JSON body.

mod body;
mod headers;
mod id;
mod idempotency;
mod json_search;
mod presented_key;
mod query;
mod unique_json;

pub(crate) use body::Fields;
pub(crate) use headers::{API_KEY_HEADER, IDEMPOTENCY_KEY_HEADER, REQUEST_ID_HEADER};
pub(crate) use id::RequestId;
pub(crate) use idempotency::IdempotencyKey;
pub(crate) use presented_key::{BEARER_HEADER, KEY_HEADER, NoApiKey, api_key, presented_keys};
pub(crate) use query::{Query, percent_decode};

//! A request as it came: its id, its query, its body, its Idempotency-Key. All of it is a stranger's until checked.

mod body;
mod id;
mod idempotency;
mod query;
mod secret;
mod unique_json;

pub(crate) use body::Fields;
pub(crate) use id::{REQUEST_ID_HEADER, RequestId};
pub(crate) use idempotency::{IdempotencyKey, NAME as IDEMPOTENCY_KEY_HEADER};
pub(crate) use query::{Query, percent_decode};

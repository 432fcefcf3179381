//! A table of invalid requests with the expected errors, for tests of any server of the API: this crate, a native server
//! over HTTP, a Wasm isolate. Feature `testing`.

mod bad_request;

use bytes::Bytes;
use http::{Request, Response};
use streamio_events::api_key::ApiKey;
use streamio_events::id::ProjectId;

pub use bad_request::{BadRequest, bad_requests};

/// The API keys and projects that [`check_bad_requests`] needs on the server under test.
#[derive(Debug, Clone)]
pub struct Target {
    /// The project of all keys but `suspended`.
    pub project_id: ProjectId,
    /// Another project.
    pub other_project_id: ProjectId,
    /// A key with the scope `admin`. Its quota must allow about 300 requests at once.
    pub admin: ApiKey,
    /// A key with the scope `upload` only.
    pub upload: ApiKey,
    /// A key with the scope `playback` only.
    pub playback: ApiKey,
    /// A key with the scope `read` only.
    pub read: ApiKey,
    /// An expired key.
    pub expired: ApiKey,
    /// A revoked key.
    pub revoked: ApiKey,
    /// A key of a third project, which is suspended.
    pub suspended: ApiKey,
}

/// Sends every request of the table and checks the responses: status, problem type, field, request id, and that they
/// contain no secret. Returns the number of requests, or all failures.
///
/// The requests' URIs contain only a path and a query; `send` adds the rest.
pub async fn check_bad_requests(
    target: &Target,
    send: impl AsyncFn(Request<Bytes>) -> Response<Bytes>,
) -> Result<usize, Vec<String>> {
    let table = bad_requests();
    let mut failures = Vec::new();
    for bad in &table {
        let response = send(bad.request(target)).await;
        if let Err(failure) = bad.check(target, &response) {
            failures.push(format!("{}: {failure}", bad.name));
        }
    }
    if failures.is_empty() { Ok(table.len()) } else { Err(failures) }
}

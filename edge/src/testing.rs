//! For tests of whatever serves the API (this crate itself, a native server over HTTP, a Wasm isolate): the table of bad
//! requests, each with the refusal that it must meet. Feature `testing`.

mod bad_request;

use bytes::Bytes;
use http::{Request, Response};
use streamio_events::api_key::ApiKey;
use streamio_events::id::ProjectId;

pub use bad_request::{BadRequest, bad_requests};

/// What the target of [`refuses_bad_requests`] must have: a project with one key of each kind, and another project.
#[derive(Debug, Clone)]
pub struct Target {
    /// The project of all keys but one. It has no videos that are touched.
    pub project_id: ProjectId,
    /// Another project.
    pub other_project_id: ProjectId,
    /// A key with the scope `admin`. Its quota must allow some 300 requests at once.
    pub admin: ApiKey,
    /// A key with the scope `upload` only.
    pub upload: ApiKey,
    /// A key with the scope `playback` only.
    pub playback: ApiKey,
    /// A key with the scope `read` only.
    pub read: ApiKey,
    /// A key that has expired.
    pub expired: ApiKey,
    /// A key that was revoked.
    pub revoked: ApiKey,
    /// A key of a third project, which is suspended.
    pub suspended: ApiKey,
}

/// Sends every bad request of the table and checks the answers: the status, the problem's type and field, the ids, and
/// that no secret is in them. Answers how many were sent, or all that is wrong.
///
/// The requests' URIs have a path and a query only; `send` adds the rest.
pub async fn refuses_bad_requests(
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

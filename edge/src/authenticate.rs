//! Authentication by API key, and authorization by its project's state and its scopes.

use std::fmt::Write as _;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderName, HeaderValue};
use streamio_events::api_key::ApiKey;
use streamio_events::event::Scope;
use streamio_events::timestamp::Timestamp;

use crate::directory::{Directory, FoundTenant, Tenant, Tolerance};
use crate::problem::{Problem, ProblemKind};
use crate::request::{BEARER_HEADER, KEY_HEADER, NoApiKey, api_key, presented_keys};

/// Returns the tenant of the request's API key. Fails if the key is unknown, revoked or expired, or if its project is
/// suspended. A malformed or mistyped key is refused without a directory lookup.
pub(crate) async fn authenticate(
    headers: &HeaderMap,
    directory: &dyn Directory,
    now: Timestamp,
    tolerance: Tolerance,
) -> Result<FoundTenant, Problem> {
    let key = api_key(headers).map_err(no_api_key)?;
    let unauthorized = |kind| unauthorized(kind, header_of(headers, &key));
    let found = directory
        .lookup(&key.hash(), now, tolerance)
        .await
        .map_err(|error| Problem::unavailable("The API key could not be checked.", error))?;
    let found = found.ok_or_else(|| unauthorized(ProblemKind::UnknownApiKey))?;
    let tenant = &found.tenant;
    if tenant.revoked {
        return Err(unauthorized(ProblemKind::RevokedApiKey));
    }
    if tenant.expires_at.is_some_and(|expiry| expiry <= now) {
        return Err(unauthorized(ProblemKind::ExpiredApiKey));
    }
    if tenant.suspended {
        return Err(Problem::new(ProblemKind::SuspendedProject, ProblemKind::SuspendedProject.advice()));
    }
    Ok(found)
}

/// Refuses a key without the scope `required`. The scope `admin` includes all others.
pub(crate) fn authorize(tenant: &Tenant, required: Scope) -> Result<(), Problem> {
    if tenant.scopes.contains(&required) || tenant.scopes.contains(&Scope::Admin) {
        return Ok(());
    }
    let mut detail =
        format!("This call needs a key with the scope `{}`; this key has ", scope_name(required));
    match &tenant.scopes[..] {
        [] => detail.push_str("none."),
        scopes => {
            for (index, scope) in scopes.iter().enumerate() {
                let separator = if index == 0 { "" } else { ", " };
                write!(detail, "{separator}`{}`", scope_name(*scope))
                    .expect("writing to a String does not fail");
            }
            detail.push('.');
        }
    }
    Err(Problem::new(ProblemKind::MissingScope, detail))
}

fn no_api_key(reason: NoApiKey) -> Problem {
    match reason {
        NoApiKey::Missing => unauthorized(ProblemKind::MissingApiKey, &KEY_HEADER),
        NoApiKey::Malformed(header) => unauthorized(ProblemKind::MalformedApiKey, header),
        NoApiKey::Checksum(header) => unauthorized(ProblemKind::MistypedApiKey, header),
        NoApiKey::Different => Problem::parameter(
            BEARER_HEADER.as_str(),
            "is not the API key of the header x-api-key; send the key in one of them",
        ),
    }
}

/// The header in which `key` was sent.
fn header_of(headers: &HeaderMap, key: &ApiKey) -> &'static HeaderName {
    let [own, _] = presented_keys(headers);
    if own == Some(key.reveal()) { &KEY_HEADER } else { &BEARER_HEADER }
}

fn unauthorized(kind: ProblemKind, header: &HeaderName) -> Problem {
    Problem::at_field(kind, header.as_str(), kind.advice()).with_header(
        WWW_AUTHENTICATE,
        HeaderValue::from_static(
            "Bearer realm=\"streamio\", ApiKey realm=\"streamio\", header=\"x-api-key\"",
        ),
    )
}

fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Upload => "upload",
        Scope::Playback => "playback",
        Scope::Read => "read",
        Scope::Admin => "admin",
    }
}

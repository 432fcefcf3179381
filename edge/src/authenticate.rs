//! Authentication by API key, and authorization by its project's state and its scopes.

use std::fmt::Write as _;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};
use streamio_events::api_key::{ApiKey, InvalidApiKey};
use streamio_events::event::Scope;
use streamio_events::timestamp::Timestamp;

use crate::directory::{Directory, FoundTenant, Tenant, Tolerance};
use crate::problem::{Problem, ProblemKind};
use crate::request::API_KEY_HEADER;

/// Returns the tenant of the request's API key. Fails if the key is unknown, revoked or expired, or if its project is
/// suspended. A malformed or mistyped key is refused without a directory lookup.
pub(crate) async fn authenticate(
    headers: &HeaderMap,
    directory: &dyn Directory,
    now: Timestamp,
    tolerance: Tolerance,
) -> Result<FoundTenant, Problem> {
    let key = api_key(headers)?;
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

fn api_key(headers: &HeaderMap) -> Result<ApiKey, Problem> {
    let mut values = headers.get_all(API_KEY_HEADER).iter();
    let Some(value) = values.next() else {
        return Err(unauthorized(ProblemKind::MissingApiKey));
    };
    if values.next().is_some() {
        return Err(unauthorized(ProblemKind::MalformedApiKey));
    }
    let text = value.to_str().map_err(|_| unauthorized(ProblemKind::MalformedApiKey))?;
    text.parse().map_err(|error| match error {
        InvalidApiKey::Malformed => unauthorized(ProblemKind::MalformedApiKey),
        InvalidApiKey::Checksum => unauthorized(ProblemKind::MistypedApiKey),
    })
}

fn unauthorized(kind: ProblemKind) -> Problem {
    Problem::at_field(kind, API_KEY_HEADER.as_str(), kind.advice()).with_header(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("ApiKey realm=\"streamio\", header=\"x-api-key\""),
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

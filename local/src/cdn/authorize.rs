//! Decides whether a viewer may access a URL now. Pure: all inputs are arguments.
//!
//! The rules are those of <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/PrivateContent.html>.
//! A policy is evaluated, and its content affects the response, only after its signature was verified.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::COOKIE;
use streamio_events::timestamp::Timestamp;

use super::base_url::BaseUrl;
use super::canned_policy::canned_policy;
use super::credentials::{Credentials, SignedPolicy, SignedQuery};
use super::policy::Policy;
use super::signature::decode;
use super::trusted_keys::TrustedKeys;

pub use super::credentials::CredentialSource;
pub use super::denied::Denied;

/// The kind of policy that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// One URL until a given time. Not sent with the request, but rebuilt from the URL.
    Canned,
    /// A policy that the viewer sent.
    Custom,
}

/// A viewer's request. Has no `Debug`: the query and the cookies grant access.
#[derive(Clone, Copy)]
pub struct ViewerRequest<'a> {
    /// The path of the URL as sent, with its leading slash.
    pub path: &'a str,
    /// The query of the URL as sent, without its `?`; `None` when there was no `?`.
    pub query: Option<&'a str>,
    /// The headers, which may contain cookies.
    pub headers: &'a HeaderMap,
    /// The viewer's address.
    pub address: IpAddr,
}

/// The result for a request that is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Where the credentials were found.
    pub source: CredentialSource,
    /// The kind of the policy.
    pub policy: PolicyKind,
}

/// Decides whether `request` is allowed at `now` by a signature of one of `keys`.
///
/// The resource is the base URL followed by the path and the query as sent, without the CloudFront parameters (and
/// without the `?` if no other parameter is left).
///
/// # Errors
/// [`Denied`] with the reason.
pub fn authorize(
    request: &ViewerRequest<'_>,
    base: &BaseUrl,
    keys: &TrustedKeys,
    now: Timestamp,
) -> Result<Allowed, Denied> {
    let query = SignedQuery::split(request.query);
    let cookies = request.headers.get_all(COOKIE).iter().map(http::HeaderValue::as_bytes);
    let credentials = Credentials::find(&query, cookies)?;
    let key = keys.get(credentials.key_pair_id).ok_or(Denied::UnknownKey)?;
    let hash = credentials.hash()?;
    let signature = decode(credentials.signature).ok_or(Denied::MalformedSignature)?;

    let mut url = format!("{}{}", base.as_str(), request.path);
    if let Some(rest) = &query.rest {
        url.push('?');
        url.push_str(rest);
    }
    let now = now.unix_seconds();
    let policy = match credentials.policy {
        SignedPolicy::Canned { expires } => {
            let (text, before) = canned_policy(&url, expires)?;
            if !key.verifies(hash, text.as_bytes(), &signature) {
                return Err(Denied::SignatureMismatch);
            }
            if now >= i64::from(before) {
                return Err(Denied::Expired { at: before.into(), now });
            }
            PolicyKind::Canned
        }
        SignedPolicy::Custom { policy } => {
            let text = decode(policy).ok_or(Denied::MalformedPolicy)?;
            if !key.verifies(hash, &text, &signature) {
                return Err(Denied::SignatureMismatch);
            }
            Policy::parse(&text)?.allow(&url, now, request.address)?;
            PolicyKind::Custom
        }
    };
    Ok(Allowed { source: credentials.source, policy })
}

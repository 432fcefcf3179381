//! May this viewer have this URL now? Pure: everything that the answer depends on is an argument.
//!
//! The rules are those of <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/PrivateContent.html>.
//! The order of the checks is chosen so that nothing of a policy is acted upon, or told about, before its signature
//! is verified.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::COOKIE;
use streamio_events::timestamp::Timestamp;

use super::base_url::BaseUrl;
use super::credentials::{Credentials, PolicyQuery, SignedQuery, Terms};
use super::policy::{self, Policy, Violation};
use super::signature::decode;
use super::trusted_keys::TrustedKeys;

/// Where the credentials were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// In the query of the URL.
    Url,
    /// In cookies.
    Cookies,
}

/// The kind of policy that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// One URL until a moment; not sent, but rebuilt here.
    Canned,
    /// A policy that the signer wrote and the viewer sent.
    Custom,
}

/// What a viewer asks for. Not shown by `Debug`: the query and the cookies are permissions.
#[derive(Clone, Copy)]
pub struct Viewing<'a> {
    /// Path of the URL as sent, beginning with a slash.
    pub path: &'a str,
    /// Query of the URL as sent, without its `?`; `None` when there was no `?`.
    pub query: Option<&'a str>,
    /// The request's headers, for its cookies.
    pub headers: &'a HeaderMap,
    /// The viewer's address.
    pub address: IpAddr,
}

/// A viewer that may have what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Where its credentials were.
    pub carrier: Carrier,
    /// The kind of its policy.
    pub policy: PolicyKind,
    /// The parameters that carry the permission on to the URIs of a playlist: for a custom policy in the query.
    pub policy_query: Option<PolicyQuery>,
}

/// Why a viewer may not have what it asked for. The text is for the one who made the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No key pair is named.
    #[error("Missing Key-Pair-Id query parameter or cookie value")]
    MissingKey,
    /// The key pair is not trusted.
    #[error("Unknown Key")]
    UnknownKey,
    /// There is no signature.
    #[error("Missing Signature query parameter or cookie value")]
    MissingSignature,
    /// The signature is not in CloudFront's base64.
    #[error("Could not unencode Signature")]
    MalformedSignature,
    /// There is neither an expiry nor a policy.
    #[error("Missing Policy or Expires query parameter or cookie value")]
    MissingPolicy,
    /// The policy or the expiry is not of the documented form.
    #[error("Malformed Policy")]
    MalformedPolicy,
    /// Both an expiry and a policy are given.
    #[error("Access denied: give Policy or Expires, not both")]
    PolicyAndExpires,
    /// A parameter or cookie is given twice.
    #[error("Access denied: {0} is given more than once")]
    Duplicated(&'static str),
    /// Another hash algorithm than SHA-1 and SHA-256.
    #[error("Access denied: Hash-Algorithm must be SHA1 or SHA256")]
    UnknownHashAlgorithm,
    /// The signature is not that of the policy.
    #[error("Access denied: the signature does not belong to this URL, policy, key pair and hash algorithm")]
    SignatureMismatch,
    /// The policy is for other URLs.
    #[error("Access denied: the policy does not cover this URL")]
    OtherResource,
    /// The policy's time is over.
    #[error("Access denied: the permission has expired; ask for a new one")]
    Expired,
    /// The policy's time has not come.
    #[error("Access denied: the permission is not valid yet")]
    NotYetValid,
    /// The policy is for other addresses.
    #[error("Access denied: the policy does not cover the viewer's address")]
    OtherAddress,
}

impl Denied {
    /// The `Code` of the error's XML. `MissingKey`, `InvalidKey`, `MalformedSignature`, `MalformedPolicy` and
    /// `AccessDenied` are those that CloudFront answers with.
    pub fn code(self) -> &'static str {
        match self {
            Self::MissingKey => "MissingKey",
            Self::UnknownKey => "InvalidKey",
            Self::MissingSignature => "MissingSignature",
            Self::MalformedSignature => "MalformedSignature",
            Self::MissingPolicy => "MissingPolicy",
            Self::MalformedPolicy => "MalformedPolicy",
            Self::PolicyAndExpires
            | Self::Duplicated(_)
            | Self::UnknownHashAlgorithm
            | Self::SignatureMismatch
            | Self::OtherResource
            | Self::Expired
            | Self::NotYetValid
            | Self::OtherAddress => "AccessDenied",
        }
    }
}

impl From<policy::MalformedPolicy> for Denied {
    fn from(_: policy::MalformedPolicy) -> Self {
        Self::MalformedPolicy
    }
}

impl From<Violation> for Denied {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::Resource => Self::OtherResource,
            Violation::Expired => Self::Expired,
            Violation::NotYetValid => Self::NotYetValid,
            Violation::Address => Self::OtherAddress,
        }
    }
}

/// Decides whether `viewing` is allowed at `now` by a signature of one of `keys`.
///
/// The resource is the base URL followed by the path and the query as sent, without the CloudFront parameters (and
/// without the `?` when no other parameter is left).
///
/// # Errors
/// [`Denied`] with the reason.
pub fn authorize(
    viewing: &Viewing<'_>,
    base: &BaseUrl,
    keys: &TrustedKeys,
    now: Timestamp,
) -> Result<Allowed, Denied> {
    let query = SignedQuery::split(viewing.query);
    let cookies = viewing.headers.get_all(COOKIE).iter().map(http::HeaderValue::as_bytes);
    let credentials = Credentials::find(&query, cookies)?;
    let key = keys.get(credentials.key_pair_id).ok_or(Denied::UnknownKey)?;
    let hash = credentials.hash()?;
    let signature = decode(credentials.signature).ok_or(Denied::MalformedSignature)?;

    let mut url = format!("{}{}", base.as_str(), viewing.path);
    if let Some(rest) = &query.rest {
        url.push('?');
        url.push_str(rest);
    }
    let now = now.unix_seconds();
    let policy = match credentials.terms {
        Terms::Canned { expires } => {
            let (text, before) = policy::canned(&url, expires)?;
            if !key.verifies(hash, text.as_bytes(), &signature) {
                return Err(Denied::SignatureMismatch);
            }
            if now >= i64::from(before) {
                return Err(Denied::Expired);
            }
            PolicyKind::Canned
        }
        Terms::Custom { policy } => {
            let text = decode(policy).ok_or(Denied::MalformedPolicy)?;
            if !key.verifies(hash, &text, &signature) {
                return Err(Denied::SignatureMismatch);
            }
            Policy::parse(&text)?.allow(&url, now, viewing.address)?;
            PolicyKind::Custom
        }
    };
    Ok(Allowed { carrier: credentials.carrier, policy, policy_query: credentials.policy_query() })
}

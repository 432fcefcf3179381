//! Verification of signed URLs by CloudFront's rules: the signature, and whether the policy allows the request. The
//! counterpart of [`cloudfront`](super::cloudfront), for testing one's own links and for origins that are reached without
//! the CDN.
//!
//! Parsing is strict, so that no two texts mean the same: base64 must be canonical, a parameter must occur once, an expiry
//! must have no leading zeros. Any changed byte of a signed URL is therefore detected, except in parts that a wildcard of
//! the policy matches.

mod document;
mod parameters;

use std::net::IpAddr;

use ipnet::Ipv4Net;

use super::key::{HashAlgorithm, PublicKey};
use super::policy::{self, InvalidUrl, Policy};
use document::PolicyDocument;
use parameters::{Parameters, Permission};

/// A verified signed URL: its signature and its policy's conditions hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The id of the key pair that signed.
    pub key_pair_id: String,
    /// The hash algorithm of the signature.
    pub hash: HashAlgorithm,
    /// The URL or pattern in the policy.
    pub resource: String,
    /// The expiry, in Unix seconds.
    pub expires_at: i64,
    /// When the policy becomes valid, in Unix seconds, if it states that.
    pub starts_at: Option<i64>,
    /// The only network that the policy allows, if it states one.
    pub source_ip: Option<Ipv4Net>,
}

/// Why verification failed. Contains nothing of the signature or the policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerificationError {
    /// The URL has no parameters of a signature.
    #[error("the URL is not signed")]
    NotSigned,
    /// The signature's parameters or the policy are malformed.
    #[error("{0}")]
    Malformed(&'static str),
    /// The URL without its signature could not have been signed.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// There is no public key for the key pair's id.
    #[error("the URL is signed with an unknown key pair")]
    UnknownKeyPair,
    /// The signature was made with another key or hash, or for another text.
    #[error("the signature does not match the URL and the key pair")]
    Signature,
    /// The policy covers other URLs.
    #[error("the policy does not cover this URL")]
    NotCovered,
    /// The policy has expired.
    #[error("the policy has expired")]
    Expired,
    /// The policy is not valid yet.
    #[error("the policy is not valid yet")]
    NotYetValid,
    /// The policy allows another network. It never allows an IPv6 address.
    #[error("the policy does not allow the viewer's address")]
    OtherAddress,
    /// The policy allows one network, and no address was passed.
    #[error("the policy allows one network only: pass the viewer's address to verify it")]
    AddressNeeded,
}

/// Verifies `url` for a request at `now` (Unix seconds) from `address`. `key_of` returns the public key of a key pair's
/// id. The signature is checked first, so errors report nothing about a policy that is not authentic.
pub fn verify<'k>(
    url: &str,
    key_of: impl FnOnce(&str) -> Option<&'k PublicKey>,
    now: i64,
    address: Option<IpAddr>,
) -> Result<Verified, VerificationError> {
    let Parameters { bare_url, permission, signature, key_pair_id, hash } = Parameters::parse(url)?;
    policy::check(&bare_url)?;
    let (text, canned) = match permission {
        Permission::Expires(expires_at) => {
            let policy = Policy::canned(&bare_url, expires_at).map_err(|_| {
                VerificationError::Malformed("the URL or its expiry is not valid in a canned policy")
            })?;
            (policy.to_json().into_bytes(), Some(PolicyDocument::canned(&bare_url, expires_at)))
        }
        Permission::Policy(text) => (text, None),
    };
    let key = key_of(&key_pair_id).ok_or(VerificationError::UnknownKeyPair)?;
    if !key.verify(hash, &text, &signature) {
        return Err(VerificationError::Signature);
    }
    let document = match canned {
        Some(document) => document,
        None => PolicyDocument::parse(&text)
            .ok_or(VerificationError::Malformed("the policy does not have the documented form"))?,
    };
    document.check(&bare_url, now, address)?;
    let PolicyDocument { resource, expires_at, starts_at, source_ip } = document;
    Ok(Verified { key_pair_id, hash, resource, expires_at, starts_at, source_ip })
}

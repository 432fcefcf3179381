//! Verifying signed URLs as CloudFront does: whose signature, of which policy, and whether the policy allows this
//! request. The counterpart of [`cloudfront`](super::cloudfront) for tests of one's own links and for origins that are
//! reached past the CDN.
//!
//! It is strict where a lenient reader would let two texts mean the same: base64 has one spelling, a parameter stands
//! once, an expiry has no leading zeros. So no changed byte of a signed URL goes unnoticed, but for those that the policy
//! leaves to the viewer with a wildcard.

mod document;
mod parameters;

use std::net::IpAddr;

use ipnet::Ipv4Net;

use super::key::{HashAlgorithm, PublicKey};
use super::policy::{self, InvalidUrl, Policy};
use document::Document;
use parameters::{Parameters, Permission};

/// What a signed URL permits, once its signature and its conditions were found to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose signature it is.
    pub key_pair_id: String,
    /// The hash under the signature.
    pub hash: HashAlgorithm,
    /// The URL or pattern that was signed.
    pub resource: String,
    /// The second at which the permission ends.
    pub expires_at: i64,
    /// The second at which it begins, where the policy says so.
    pub starts_at: Option<i64>,
    /// The only network that it is for, where the policy says so.
    pub source_ip: Option<Ipv4Net>,
}

/// Why a signed URL does not open its file. Nothing of the signature or the policy is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// None of the parameters of a signature is there.
    #[error("the URL is not signed")]
    NotSigned,
    /// The parameters are not those of a signature.
    #[error("{0}")]
    Malformed(&'static str),
    /// Without its signature the URL is none that can be signed.
    #[error(transparent)]
    Url(#[from] InvalidUrl),
    /// The key pair is not among the known ones.
    #[error("the URL is signed with a key pair that is not known")]
    UnknownKeyPair,
    /// Another key's, another text's or another hash's.
    #[error("the signature is not the key pair's for this URL")]
    Signature,
    /// The policy is for other URLs.
    #[error("the policy does not cover this URL")]
    NotCovered,
    /// The policy's end has come.
    #[error("the permission has expired")]
    Expired,
    /// The policy's beginning has not come.
    #[error("the permission has not begun")]
    NotYetValid,
    /// The policy is for viewers elsewhere; an IPv6 address is never inside.
    #[error("the permission is for another address")]
    OtherAddress,
    /// The policy names a network, and the viewer's address was not given.
    #[error("the permission is for one network: the viewer's address is needed to verify it")]
    AddressNeeded,
}

/// Verifies `url` for a request at `now` (Unix seconds) from `address`, with the public key that `key_of` knows by the
/// id of its pair. The signature is looked at first: what an unsigned policy says is nobody's business.
pub fn verify<'k>(
    url: &str,
    key_of: impl FnOnce(&str) -> Option<&'k PublicKey>,
    now: i64,
    address: Option<IpAddr>,
) -> Result<Verified, Unverified> {
    let Parameters { bare_url, permission, signature, key_pair_id, hash } = Parameters::of(url)?;
    policy::check(&bare_url)?;
    let (text, canned) = match permission {
        Permission::Expires(expires_at) => {
            let policy = Policy::canned(&bare_url, expires_at).map_err(|_| {
                Unverified::Malformed("the URL or its expiry cannot stand in a canned policy")
            })?;
            (policy.to_json().into_bytes(), Some(Document::canned(&bare_url, expires_at)))
        }
        Permission::Policy(text) => (text, None),
    };
    let key = key_of(&key_pair_id).ok_or(Unverified::UnknownKeyPair)?;
    if !key.verify(hash, &text, &signature) {
        return Err(Unverified::Signature);
    }
    let document = match canned {
        Some(document) => document,
        None => {
            Document::read(&text).ok_or(Unverified::Malformed("the policy is not of the documented form"))?
        }
    };
    document.allow(&bare_url, now, address)?;
    let Document { resource, expires_at, starts_at, source_ip } = document;
    Ok(Verified { key_pair_id, hash, resource, expires_at, starts_at, source_ip })
}

//! The reasons for which a viewer is denied access.

use std::net::IpAddr;

use ipnet::Ipv4Net;
use streamio_events::timestamp::Timestamp;

use super::policy::{MalformedPolicy, Violation};

/// Why a request is denied. The text is meant for the developer who created the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The key pair id is missing.
    #[error("Missing Key-Pair-Id query parameter or cookie value")]
    MissingKey,
    /// The key pair is not trusted.
    #[error("Unknown Key")]
    UnknownKey,
    /// The signature is missing.
    #[error("Missing Signature query parameter or cookie value")]
    MissingSignature,
    /// The signature is not in CloudFront's base64.
    #[error("Could not unencode Signature")]
    MalformedSignature,
    /// Both the expiry and the policy are missing.
    #[error("Missing Policy or Expires query parameter or cookie value")]
    MissingPolicy,
    /// The policy or the expiry is malformed.
    #[error("Malformed Policy")]
    MalformedPolicy,
    /// Both an expiry and a policy were sent.
    #[error("Access denied: give Policy or Expires, not both")]
    PolicyAndExpires,
    /// A parameter or cookie was sent twice.
    #[error("Access denied: {0} is given more than once")]
    Duplicated(&'static str),
    /// The hash algorithm is neither SHA-1 nor SHA-256.
    #[error("Access denied: Hash-Algorithm must be SHA1 or SHA256")]
    UnknownHashAlgorithm,
    /// The signature does not match.
    #[error("Access denied: the signature does not belong to this URL, policy, key pair and hash algorithm")]
    SignatureMismatch,
    /// The policy is for other URLs.
    #[error("Access denied: the policy does not cover this URL")]
    OtherResource {
        /// The pattern of the URLs that it covers.
        covered: String,
    },
    /// The policy has expired.
    #[error("Access denied: the permission has expired; ask for a new one")]
    Expired {
        /// The expiry, in Unix seconds.
        at: i64,
        /// The time of the request, in Unix seconds.
        now: i64,
    },
    /// The policy is not valid yet.
    #[error("Access denied: the permission is not valid yet")]
    NotYetValid {
        /// The start, in Unix seconds.
        from: i64,
        /// The time of the request, in Unix seconds.
        now: i64,
    },
    /// The policy is for other addresses.
    #[error("Access denied: the policy does not cover the viewer's address")]
    OtherAddress {
        /// The addresses that it covers.
        covered: Ipv4Net,
        /// The viewer's address.
        viewer: IpAddr,
    },
}

impl Denied {
    /// The `Code` of the error's XML. `MissingKey`, `InvalidKey`, `MalformedSignature`, `MalformedPolicy` and
    /// `AccessDenied` are those that CloudFront returns.
    pub fn code(&self) -> &'static str {
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
            | Self::OtherResource { .. }
            | Self::Expired { .. }
            | Self::NotYetValid { .. }
            | Self::OtherAddress { .. } => "AccessDenied",
        }
    }

    /// What differs, as further elements of the error's XML: names and values. S3 does the same. They repeat only what the viewer sent,
    /// in a policy whose signature was verified, the viewer's address, and the time.
    pub(super) fn details(&self) -> Vec<(&'static str, String)> {
        let time = |seconds: &i64| Timestamp::from_unix_seconds(*seconds).to_string();
        match self {
            Self::OtherResource { covered } => vec![("Resource", covered.clone())],
            Self::Expired { at, now } => vec![("Expires", time(at)), ("ServerTime", time(now))],
            Self::NotYetValid { from, now } => vec![("NotBefore", time(from)), ("ServerTime", time(now))],
            Self::OtherAddress { covered, viewer } => {
                vec![("SourceIp", covered.to_string()), ("ViewerIp", viewer.to_string())]
            }
            _ => Vec::new(),
        }
    }
}

impl From<MalformedPolicy> for Denied {
    fn from(_: MalformedPolicy) -> Self {
        Self::MalformedPolicy
    }
}

impl From<Violation> for Denied {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::Resource { covered } => Self::OtherResource { covered },
            Violation::Expired { at, now } => Self::Expired { at, now },
            Violation::NotYetValid { from, now } => Self::NotYetValid { from, now },
            Violation::Address { covered, viewer } => Self::OtherAddress { covered, viewer },
        }
    }
}

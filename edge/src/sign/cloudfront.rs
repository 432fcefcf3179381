//! CloudFront signed URLs and signed cookies: a [`Policy`], its signature, and their encoding in
//! queries and cookies.
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html>,
//! <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-cookies.html>

use std::fmt;

use base64::Engine;
use base64::alphabet::{Alphabet, Symbol};
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

use super::SignedUrl;
use super::key::{HashAlgorithm, KeySignature, UrlSigner, UrlSignerError};
use super::policy::{InvalidUrl, Policy, check};

/// A policy with its signature. One signature serves every URL that the policy covers, and the cookies.
///
/// `Debug` shows only the policy and the key pair's id.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedPolicy {
    policy: Policy,
    key_pair_id: String,
    signature: String,
    hash: HashAlgorithm,
}

/// The name and value of a cookie. The caller chooses its domain, path and flags. `Debug` hides the value.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedCookie {
    /// `CloudFront-…`.
    pub name: &'static str,
    /// Contains only characters that a cookie may hold without encoding.
    pub value: String,
}

/// Signs `policy` with the signer's active key.
pub async fn sign<S: UrlSigner + ?Sized>(
    signer: &S,
    hash: HashAlgorithm,
    policy: Policy,
) -> Result<SignedPolicy, UrlSignerError> {
    let KeySignature { key_pair_id, signature } = signer.sign(hash, policy.to_json().as_bytes()).await?;
    Ok(SignedPolicy { policy, key_pair_id, signature: encode(&signature), hash })
}

impl SignedPolicy {
    /// The policy that was signed.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// `url` with the signature in its query. Fails if the policy does not cover `url`, since CloudFront would refuse
    /// it, or if `url` cannot be signed.
    pub fn url_for(&self, url: &str) -> Result<SignedUrl, InvalidUrl> {
        check(url)?;
        if !self.policy.resource().covers(url) {
            return Err(InvalidUrl::NotCovered);
        }
        let separator = if url.contains('?') { '&' } else { '?' };
        Ok(SignedUrl::new(format!("{url}{separator}{}", self.query())))
    }

    /// The query parameters alone, to be appended to any URL that the policy covers:
    /// `Policy=…&Signature=…&Key-Pair-Id=…`. A canned policy has `Expires=…` in place of `Policy=…`; SHA-256 adds
    /// `&Hash-Algorithm=SHA256`. As secret as a signed URL.
    pub fn query(&self) -> String {
        let (name, value) = self.expiry_or_policy("Expires", "Policy");
        let Self { signature, key_pair_id, .. } = self;
        let hash = if self.hash == HashAlgorithm::Sha256 { "&Hash-Algorithm=SHA256" } else { "" };
        format!("{name}={value}&Signature={signature}&Key-Pair-Id={key_pair_id}{hash}")
    }

    /// The id of the key pair that signed.
    pub fn key_pair_id(&self) -> &str {
        &self.key_pair_id
    }

    /// The signature, encoded as in a query.
    pub(crate) fn signature(&self) -> &str {
        &self.signature
    }

    /// The cookies that grant access to every file that the policy covers: three, and a fourth for SHA-256.
    pub fn cookies(&self) -> Vec<SignedCookie> {
        let (name, value) = self.expiry_or_policy("CloudFront-Expires", "CloudFront-Policy");
        let mut cookies = vec![
            SignedCookie { name, value },
            SignedCookie { name: "CloudFront-Signature", value: self.signature.clone() },
            SignedCookie { name: "CloudFront-Key-Pair-Id", value: self.key_pair_id.clone() },
        ];
        if self.hash == HashAlgorithm::Sha256 {
            cookies.push(SignedCookie { name: "CloudFront-Hash-Algorithm", value: "SHA256".to_owned() });
        }
        cookies
    }

    /// The name and value of the parameter that states the permission: the expiry of a canned policy, or the whole policy.
    fn expiry_or_policy(&self, expires: &'static str, policy: &'static str) -> (&'static str, String) {
        if self.policy.is_canned() {
            (expires, self.policy.expires_at().to_string())
        } else {
            (policy, encode(self.policy.to_json().as_bytes()))
        }
    }
}

impl fmt::Debug for SignedPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SignedPolicy")
            .field("policy", &self.policy)
            .field("key_pair_id", &self.key_pair_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SignedCookie {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SignedCookie").field("name", &self.name).finish_non_exhaustive()
    }
}

/// CloudFront's base64: `-`, `~` and `_` instead of `+`, `/` and `=`, so that neither queries nor cookies need further
/// encoding. Padding is required, so every sequence of bytes has exactly one encoding.
const BASE64: GeneralPurpose = GeneralPurpose::new(&ALPHABET, GeneralPurposeConfig::new());
const ALPHABET: Alphabet = match Symbol::new(b'_') {
    Some(padding) => {
        match Alphabet::new_with_padding(
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~",
            padding,
        ) {
            Ok(alphabet) => alphabet,
            Err(_) => panic!("64 different characters"),
        }
    }
    None => panic!("an ASCII character"),
};

/// Encodes bytes in CloudFront's base64.
pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Decodes CloudFront's base64; `None` if `text` is not the exact encoding of its bytes.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

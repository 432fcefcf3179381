use super::VerificationError;
use crate::sign::cloudfront;
use crate::sign::key::HashAlgorithm;

/// The parts of a signed URL.
pub(super) struct Parameters {
    /// The URL without the signature's parameters.
    pub(super) bare_url: String,
    pub(super) permission: Permission,
    pub(super) signature: Vec<u8>,
    pub(super) key_pair_id: String,
    pub(super) hash: HashAlgorithm,
}

/// The permission stated in the URL.
pub(super) enum Permission {
    /// The expiry of a canned policy, in Unix seconds.
    Expires(i64),
    /// The text of a custom policy.
    Policy(Vec<u8>),
}

impl Parameters {
    /// Splits `url`. Fails if a parameter of the signature is missing, repeated or malformed.
    pub(super) fn parse(url: &str) -> Result<Self, VerificationError> {
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        let mut bare_url = address.to_owned();
        let (mut expires, mut policy, mut signature, mut key_pair_id, mut hash) =
            (None, None, None, None, None);
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let slot = match name {
                "Expires" => &mut expires,
                "Policy" => &mut policy,
                "Signature" => &mut signature,
                "Key-Pair-Id" => &mut key_pair_id,
                "Hash-Algorithm" => &mut hash,
                // The URL's own parameters keep their order.
                _ => {
                    if url.len() > address.len() {
                        bare_url.push(if bare_url.len() == address.len() { '?' } else { '&' });
                        bare_url.push_str(parameter);
                    }
                    continue;
                }
            };
            if slot.replace(value).is_some() {
                return Err(VerificationError::Malformed("a parameter of the signature occurs twice"));
            }
        }
        let permission = match (expires, policy) {
            (None, None) if signature.is_none() && key_pair_id.is_none() => {
                return Err(VerificationError::NotSigned);
            }
            (Some(expires), None) => Permission::Expires(
                whole_seconds(expires)
                    .ok_or(VerificationError::Malformed("Expires is not a number of seconds"))?,
            ),
            (None, Some(policy)) => Permission::Policy(
                cloudfront::decode(policy)
                    .ok_or(VerificationError::Malformed("Policy is not CloudFront's base64"))?,
            ),
            _ => return Err(VerificationError::Malformed("exactly one of Expires and Policy is required")),
        };
        let signature = signature.ok_or(VerificationError::Malformed("Signature is missing"))?;
        let signature = cloudfront::decode(signature)
            .ok_or(VerificationError::Malformed("Signature is not CloudFront's base64"))?;
        let key_pair_id =
            key_pair_id.ok_or(VerificationError::Malformed("Key-Pair-Id is missing"))?.to_owned();
        let hash = match hash {
            // AWS's signers omit SHA-1; CloudFront's documentation allows it explicitly too.
            None | Some("SHA1") => HashAlgorithm::Sha1,
            Some("SHA256") => HashAlgorithm::Sha256,
            Some(_) => return Err(VerificationError::Malformed("Hash-Algorithm is neither SHA1 nor SHA256")),
        };
        Ok(Self { bare_url, permission, signature, key_pair_id, hash })
    }
}

/// Parses digits without sign or leading zeros, so that each number has exactly one spelling.
fn whole_seconds(text: &str) -> Option<i64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_number)
}

//! The credentials of a request: the CloudFront parameters in the query, or the CloudFront cookies.

use super::denied::Denied;
use super::signature::HashAlgorithm;

/// Where the credentials were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialSource {
    /// In the query of the URL.
    Url,
    /// In cookies.
    Cookies,
}

/// The CloudFront parameters, in the order in which signers write them. The cookies have the same names with the prefix
/// `CloudFront-`. No other parameter may have one of these names:
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-choosing-signed-urls-cookies.html>.
const NAMES: [&str; 5] = ["Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"];
const EXPIRES: usize = 0;
const POLICY: usize = 1;
const SIGNATURE: usize = 2;
const KEY_PAIR_ID: usize = 3;
const HASH_ALGORITHM: usize = 4;

fn index_of(name: &str) -> Option<usize> {
    NAMES.iter().position(|known| *known == name)
}

fn split_pair(pair: &str) -> (&str, &str) {
    pair.split_once('=').unwrap_or((pair, ""))
}

/// The values of the five parameters.
#[derive(Default)]
struct Fields<'a> {
    values: [Option<&'a str>; NAMES.len()],
    duplicated: Option<&'static str>,
}

impl<'a> Fields<'a> {
    fn add(&mut self, index: usize, value: &'a str) {
        if self.values[index].replace(value).is_some() {
            self.duplicated = Some(NAMES[index]);
        }
    }

    fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }
}

/// A query, split into CloudFront parameters and others.
pub(super) struct SignedQuery<'a> {
    fields: Fields<'a>,
    /// The other parameters, as sent and in order. `None` if there are none: the resource then has no `?`.
    pub(super) rest: Option<String>,
}

impl<'a> SignedQuery<'a> {
    /// Splits the query of a URL (without its `?`).
    pub(super) fn split(query: Option<&'a str>) -> Self {
        let mut fields = Fields::default();
        let mut rest: Option<String> = None;
        for parameter in query.into_iter().flat_map(|query| query.split('&')) {
            let (name, value) = split_pair(parameter);
            if let Some(index) = index_of(name) {
                fields.add(index, value);
            } else {
                match &mut rest {
                    Some(rest) => {
                        rest.push('&');
                        rest.push_str(parameter);
                    }
                    None => rest = Some(parameter.to_owned()),
                }
            }
        }
        Self { fields, rest }
    }
}

/// The policy that was signed.
#[derive(Clone, Copy)]
pub(super) enum SignedPolicy<'a> {
    /// A canned policy, to be rebuilt from the URL and this expiry.
    Canned {
        /// Seconds since the Unix epoch, as sent.
        expires: &'a str,
    },
    /// A custom policy, encoded.
    Custom {
        /// The encoded policy, as sent.
        policy: &'a str,
    },
}

/// Complete credentials, not verified yet.
pub(super) struct Credentials<'a> {
    pub(super) source: CredentialSource,
    pub(super) policy: SignedPolicy<'a>,
    pub(super) signature: &'a str,
    pub(super) key_pair_id: &'a str,
    /// The hash algorithm, if one was sent.
    hash_algorithm: Option<&'a str>,
}

impl<'a> Credentials<'a> {
    /// Reads the credentials. If the query has any CloudFront parameter, the cookies are ignored.
    ///
    /// # Errors
    /// [`Denied`] if a value is missing, sent twice or contradictory.
    pub(super) fn find(
        query: &SignedQuery<'a>,
        cookies: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, Denied> {
        if !query.fields.is_empty() {
            return Self::complete(CredentialSource::Url, &query.fields);
        }
        let mut fields = Fields::default();
        for cookie in cookies.flat_map(|header| header.split(|byte| *byte == b';')) {
            let Ok(cookie) = str::from_utf8(cookie) else { continue };
            let (name, value) = split_pair(cookie.trim_matches([' ', '\t']));
            if let Some(index) = name.strip_prefix("CloudFront-").and_then(index_of) {
                fields.add(index, value);
            }
        }
        Self::complete(CredentialSource::Cookies, &fields)
    }

    fn complete(source: CredentialSource, fields: &Fields<'a>) -> Result<Self, Denied> {
        if let Some(name) = fields.duplicated {
            return Err(Denied::Duplicated(name));
        }
        let value_of = |index: usize| fields.values[index].filter(|value| !value.is_empty());
        let key_pair_id = value_of(KEY_PAIR_ID).ok_or(Denied::MissingKey)?;
        let signature = value_of(SIGNATURE).ok_or(Denied::MissingSignature)?;
        let policy = match (fields.values[EXPIRES], fields.values[POLICY]) {
            (Some(_), Some(_)) => return Err(Denied::PolicyAndExpires),
            (Some(expires), None) => SignedPolicy::Canned { expires },
            (None, Some(policy)) => SignedPolicy::Custom { policy },
            (None, None) => return Err(Denied::MissingPolicy),
        };
        Ok(Self { source, policy, signature, key_pair_id, hash_algorithm: fields.values[HASH_ALGORITHM] })
    }

    /// The hash algorithm of the signature; SHA-1 if none was sent.
    pub(super) fn hash(&self) -> Result<HashAlgorithm, Denied> {
        match self.hash_algorithm {
            None => Ok(HashAlgorithm::Sha1),
            Some(name) => HashAlgorithm::parse(name).ok_or(Denied::UnknownHashAlgorithm),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(query: &str) -> Option<String> {
        SignedQuery::split(Some(query)).rest
    }

    #[test]
    fn other_parameters_are_kept_as_sent() {
        assert_eq!(rest("Expires=1&Signature=s&Key-Pair-Id=K"), None);
        assert_eq!(rest("a=1&Expires=1&b=%2f&Signature=s&Key-Pair-Id=K&c"), Some("a=1&b=%2f&c".into()));
        assert_eq!(rest("&Expires=1"), Some(String::new()));
        assert_eq!(rest("a=1&&b=2"), Some("a=1&&b=2".into()));
        assert_eq!(rest("expires=1&policy=2"), Some("expires=1&policy=2".into()));
        assert_eq!(SignedQuery::split(None).rest, None);
    }
}

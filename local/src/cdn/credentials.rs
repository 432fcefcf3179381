//! What a viewer shows: the CloudFront parameters of a URL's query, or the CloudFront cookies.

use std::fmt;

use super::authorize::{Carrier, Denied};
use super::signature::HashAlgorithm;

/// The CloudFront parameters, in the order in which signers write them. The cookies have the same names with
/// `CloudFront-` before them. No other parameter may have one of these names:
/// <https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-choosing-signed-urls-cookies.html>.
const NAMES: [&str; 5] = ["Expires", "Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm"];
const EXPIRES: usize = 0;
const POLICY: usize = 1;
const SIGNATURE: usize = 2;
const KEY_PAIR_ID: usize = 3;
const HASH_ALGORITHM: usize = 4;

/// Whether a query (without its `?`) has a CloudFront parameter.
pub(super) fn is_signed(query: &str) -> bool {
    query.split('&').any(|parameter| index_of(split_pair(parameter).0).is_some())
}

fn index_of(name: &str) -> Option<usize> {
    NAMES.iter().position(|known| *known == name)
}

fn split_pair(pair: &str) -> (&str, &str) {
    pair.split_once('=').unwrap_or((pair, ""))
}

/// The values found under the five names.
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

/// A query taken apart.
pub(super) struct SignedQuery<'a> {
    fields: Fields<'a>,
    /// The other parameters, as sent and in their order. `None` when there are none: the resource has no `?` then.
    pub(super) rest: Option<String>,
}

impl<'a> SignedQuery<'a> {
    /// Takes the query of a URL (without its `?`) apart.
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

/// Which policy the signature is over.
#[derive(Clone, Copy)]
pub(super) enum Terms<'a> {
    /// The canned one, rebuilt from the URL and this expiry.
    Canned {
        /// Seconds since the Unix epoch, as sent.
        expires: &'a str,
    },
    /// One that the signer wrote, encoded.
    Custom {
        /// The encoded policy, as sent.
        policy: &'a str,
    },
}

/// Complete credentials; nothing about them is verified yet.
pub(super) struct Credentials<'a> {
    pub(super) carrier: Carrier,
    pub(super) terms: Terms<'a>,
    pub(super) signature: &'a str,
    pub(super) key_pair_id: &'a str,
    /// The hash algorithm as sent, if it was.
    hash_algorithm: Option<&'a str>,
}

impl<'a> Credentials<'a> {
    /// Takes what the viewer shows. A query with any CloudFront parameter is a signed URL, and cookies are not looked
    /// at then.
    ///
    /// # Errors
    /// [`Denied`] when something is missing, given twice or contradictory.
    pub(super) fn find(
        query: &SignedQuery<'a>,
        cookies: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, Denied> {
        if !query.fields.is_empty() {
            return Self::complete(Carrier::Url, &query.fields);
        }
        let mut fields = Fields::default();
        for cookie in cookies.flat_map(|header| header.split(|byte| *byte == b';')) {
            let Ok(cookie) = str::from_utf8(cookie) else { continue };
            let (name, value) = split_pair(cookie.trim_matches([' ', '\t']));
            if let Some(index) = name.strip_prefix("CloudFront-").and_then(index_of) {
                fields.add(index, value);
            }
        }
        Self::complete(Carrier::Cookies, &fields)
    }

    fn complete(carrier: Carrier, fields: &Fields<'a>) -> Result<Self, Denied> {
        if let Some(name) = fields.duplicated {
            return Err(Denied::Duplicated(name));
        }
        let given = |index: usize| fields.values[index].filter(|value| !value.is_empty());
        let key_pair_id = given(KEY_PAIR_ID).ok_or(Denied::MissingKey)?;
        let signature = given(SIGNATURE).ok_or(Denied::MissingSignature)?;
        let terms = match (fields.values[EXPIRES], fields.values[POLICY]) {
            (Some(_), Some(_)) => return Err(Denied::PolicyAndExpires),
            (Some(expires), None) => Terms::Canned { expires },
            (None, Some(policy)) => Terms::Custom { policy },
            (None, None) => return Err(Denied::MissingPolicy),
        };
        Ok(Self { carrier, terms, signature, key_pair_id, hash_algorithm: fields.values[HASH_ALGORITHM] })
    }

    /// The hash algorithm that is to be used.
    pub(super) fn hash(&self) -> Result<HashAlgorithm, Denied> {
        match self.hash_algorithm {
            None => Ok(HashAlgorithm::Sha1),
            Some(name) => HashAlgorithm::parse(name).ok_or(Denied::UnknownHashAlgorithm),
        }
    }

    /// The parameters that carry these credentials on to other URLs; `None` unless they came in the query and their
    /// policy is a custom one (a canned policy allows one URL only).
    pub(super) fn policy_query(&self) -> Option<PolicyQuery> {
        let (Carrier::Url, Terms::Custom { policy }) = (self.carrier, self.terms) else { return None };
        let mut text =
            format!("Policy={policy}&Signature={}&Key-Pair-Id={}", self.signature, self.key_pair_id);
        if let Some(hash) = self.hash_algorithm {
            text.push_str("&Hash-Algorithm=");
            text.push_str(hash);
        }
        Some(PolicyQuery(text))
    }
}

/// `Policy=…&Signature=…&Key-Pair-Id=…`, with `&Hash-Algorithm=…` if the viewer sent one: whoever has this may see
/// what the policy allows, so it is not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PolicyQuery(String);

impl PolicyQuery {
    /// The parameters, without a `?` or `&` before them.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PolicyQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PolicyQuery(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(query: &str) -> Option<String> {
        SignedQuery::split(Some(query)).rest
    }

    #[test]
    fn the_other_parameters_stay_as_they_were_sent() {
        assert_eq!(rest("Expires=1&Signature=s&Key-Pair-Id=K"), None);
        assert_eq!(rest("a=1&Expires=1&b=%2f&Signature=s&Key-Pair-Id=K&c"), Some("a=1&b=%2f&c".into()));
        assert_eq!(rest("&Expires=1"), Some(String::new()));
        assert_eq!(rest("a=1&&b=2"), Some("a=1&&b=2".into()));
        assert_eq!(rest("expires=1&policy=2"), Some("expires=1&policy=2".into()));
        assert_eq!(SignedQuery::split(None).rest, None);
    }

    #[test]
    fn any_cloudfront_parameter_makes_a_signed_url() {
        for query in ["Expires", "a=1&Policy=", "Signature=s", "Key-Pair-Id=K&b", "Hash-Algorithm=SHA1"] {
            assert!(is_signed(query), "{query}");
        }
        for query in ["", "a=Policy", "policy=1", "Policy2=1", "%50olicy=1"] {
            assert!(!is_signed(query), "{query}");
        }
    }

    #[test]
    fn parameters_that_open_videos_are_not_shown() {
        let query = SignedQuery::split(Some("Policy=p&Signature=s&Key-Pair-Id=K&Hash-Algorithm=SHA256"));
        let found = Credentials::find(&query, std::iter::empty()).unwrap();
        let query = found.policy_query().unwrap();
        assert_eq!(query.as_str(), "Policy=p&Signature=s&Key-Pair-Id=K&Hash-Algorithm=SHA256");
        assert_eq!(format!("{query:?}"), "PolicyQuery(…)");
    }
}

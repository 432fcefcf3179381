//! The query of a viewer's request for a playlist.

use ipnet::Ipv4Net;

use crate::problem::{Problem, ProblemKind};
use crate::request::percent_decode;
use crate::sign::cloudfront;

/// The parameters, in the order in which they are written. The last two are there for a grant that is limited to a network.
const NAMES: [&str; 6] = ["Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm", MEDIA_IP, MEDIA_SIGNATURE];
const MEDIA_IP: &str = "Media-Ip";
const MEDIA_SIGNATURE: &str = "Media-Signature";

/// The longest signature, in bytes: that of an RSA key of 2,048 bits.
const MAX_SIGNATURE_BYTES: usize = 256;

/// A complete query. Each text has no leading `?` and only characters that need no escaping, whatever the viewer sent.
#[derive(PartialEq, Eq)]
pub(super) struct PlayQuery {
    /// What the CDN is asked with.
    pub(super) for_cdn: String,
    /// What playlists have in their URIs: all parameters.
    pub(super) for_playlists: String,
    /// The policy with which the CDN is asked, encoded.
    pub(super) policy: String,
    /// The network to which media files are limited, if they are.
    pub(super) network: Option<Ipv4Net>,
    /// What follows the policy in the query of media files that are limited to a network.
    after_media_policy: String,
}

impl PlayQuery {
    /// Reads the parameters of a signature. Values that a player has percent-encoded are decoded; other parameters (of analytics, of
    /// CMCD) are ignored, because players add them without being asked.
    ///
    /// A parameter that is missing, repeated or malformed is refused as the CDN would refuse it, without asking it. The CDN does not
    /// see those of media files, which become part of every URI, so they have to have the form in which they are issued.
    pub(super) fn parse(query: &str) -> Result<Self, Problem> {
        let mut values: [Option<String>; NAMES.len()] = Default::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name == "Expires" {
                let detail = "is of a signature for a single file: request the URL of a stream, with the format `hls`.";
                return Err(refused("Expires", detail));
            }
            let Some(index) = NAMES.iter().position(|known| *known == name) else { continue };
            let is_media = index >= 4;
            let value = percent_decode(value)
                .filter(|value| !value.is_empty() && (is_media || value.bytes().all(is_plain)));
            let value = match value {
                Some(value) => value,
                None if is_media => return Err(not_as_issued(name)),
                None => return Err(refused(name, "is not as it was issued: use the whole URL unchanged.")),
            };
            if values[index].replace(value.into_owned()).is_some() {
                return Err(refused(name, "was sent more than once."));
            }
        }
        let [policy, signature, key_pair_id, hash, network, media_signature] = values;
        let required = |index: usize, value: Option<String>| {
            value.ok_or_else(|| refused(NAMES[index], "is missing: use the whole URL as it was issued."))
        };
        let (policy, signature) = (required(0, policy)?, required(1, signature)?);
        let key_pair_id = required(2, key_pair_id)?;
        let hash = hash.map_or(String::new(), |hash| ["&Hash-Algorithm=", &hash].concat());
        let signed_by =
            |signature: &str| ["&Signature=", signature, "&Key-Pair-Id=", &key_pair_id, &hash].concat();
        let for_cdn = ["Policy=", &policy, &signed_by(&signature)].concat();
        let (network, media_signature) = match (network, media_signature) {
            (None, None) => {
                let (for_playlists, after_media_policy) = (for_cdn.clone(), String::new());
                return Ok(Self { for_cdn, for_playlists, policy, network: None, after_media_policy });
            }
            (network, signature) => (
                network_of(network.as_deref()).ok_or_else(|| not_as_issued(MEDIA_IP))?,
                signature.filter(|text| is_signature(text)).ok_or_else(|| not_as_issued(MEDIA_SIGNATURE))?,
            ),
        };
        let for_playlists = format!("{for_cdn}&{MEDIA_IP}={network}&{MEDIA_SIGNATURE}={media_signature}");
        let after_media_policy = signed_by(&media_signature);
        Ok(Self { for_cdn, for_playlists, policy, network: Some(network), after_media_policy })
    }

    /// The query of media files that are limited to a network by `policy`, which is encoded.
    pub(super) fn for_media(&self, policy: &str) -> String {
        ["Policy=", policy, &self.after_media_policy].concat()
    }
}

/// The network in the form in which it is issued.
fn network_of(text: Option<&str>) -> Option<Ipv4Net> {
    let network: Ipv4Net = text?.parse().ok()?;
    (network.trunc() == network && text == Some(&*network.to_string())).then_some(network)
}

fn is_signature(text: &str) -> bool {
    text.len() <= 2 * MAX_SIGNATURE_BYTES
        && cloudfront::decode(text).is_some_and(|bytes| (1..=MAX_SIGNATURE_BYTES).contains(&bytes.len()))
}

/// The refusal of a parameter that the CDN does not see.
fn not_as_issued(name: &str) -> Problem {
    Problem::parameter(name, "is not as it was issued: use the whole URL unchanged")
}

/// Whether a character occurs in signatures, policies and ids of key pairs.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~')
}

/// A refusal because of the parameter `name`.
pub(super) fn refused(name: &str, detail: &str) -> Problem {
    Problem::at_field(ProblemKind::PlaybackRefused, name, format!("`{name}` {detail}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(query: &str) -> PlayQuery {
        PlayQuery::parse(query).unwrap()
    }

    /// The `field` of the refusal.
    fn refused_field(query: &str) -> String {
        let problem = PlayQuery::parse(query).err().unwrap_or_else(|| panic!("{query} is accepted"));
        let body = problem.into_response("r", [None, None]).into_body();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["type"], "/problems/playback-refused");
        json["field"].as_str().unwrap().to_owned()
    }

    #[test]
    fn values_are_kept_and_other_parameters_are_dropped() {
        let plain = "Policy=a-b~c_&Signature=d&Key-Pair-Id=K1&Hash-Algorithm=SHA256";
        for query in [
            plain.to_owned(),
            format!("{plain}&CMCD=br%3D1%2Csid%3D%22x%22&utm_source=x&_HLS_msn=1&%zz&"),
            "Hash-Algorithm=SHA256&Key-Pair-Id=K1&Signature=d&Policy=a-b~c_".to_owned(),
            "Policy=a%2Db%7Ec%5F&Signature=%64&Key-Pair-Id=K1&Hash-Algorithm=SHA256".to_owned(),
        ] {
            let parsed = parse(&query);
            assert_eq!((&*parsed.for_cdn, &*parsed.for_playlists), (plain, plain), "{query}");
        }
        assert_eq!(parse("Policy=a&Signature=b&Key-Pair-Id=c").for_cdn, "Policy=a&Signature=b&Key-Pair-Id=c");
    }

    #[test]
    fn media_files_have_their_own_signature_where_the_query_has_one() {
        for ip in ["203.0.113.0/24", "203.0.113.0%2F24"] {
            let query = format!(
                "Policy=p&Signature=s&Key-Pair-Id=K&Hash-Algorithm=SHA256&Media-Ip={ip}&Media-Signature=AAAA"
            );
            let parsed = parse(&query);
            assert_eq!(parsed.for_cdn, "Policy=p&Signature=s&Key-Pair-Id=K&Hash-Algorithm=SHA256");
            assert_eq!(parsed.for_media("m"), "Policy=m&Signature=AAAA&Key-Pair-Id=K&Hash-Algorithm=SHA256");
            let media = "&Media-Ip=203.0.113.0/24&Media-Signature=AAAA";
            assert_eq!(parsed.for_playlists, [&parsed.for_cdn, media].concat());
            assert_eq!(parsed.network, Some("203.0.113.0/24".parse().unwrap()));
        }
    }

    #[test]
    fn a_signature_has_at_most_the_length_of_one_with_rsa() {
        let is_accepted = |bytes: usize| is_signature(&cloudfront::encode(&vec![7; bytes]));
        assert!(is_accepted(1) && is_accepted(72) && is_accepted(256));
        assert!(!is_accepted(0) && !is_accepted(257) && !is_accepted(1_000_000));
    }

    #[test]
    fn a_query_that_the_cdn_would_refuse_is_refused_with_its_field() {
        for (query, field) in [
            ("", "Policy"),
            ("Signature=s&Key-Pair-Id=K", "Policy"),
            ("Policy=p&Key-Pair-Id=K", "Signature"),
            ("Policy=p&Signature=s", "Key-Pair-Id"),
            ("Policy=&Signature=s&Key-Pair-Id=K", "Policy"),
            ("Policy=p&Policy=p&Signature=s&Key-Pair-Id=K", "Policy"),
            ("Policy=p&Signature=s&Key-Pair-Id=K&Expires=1", "Expires"),
            ("Policy=p&Signature=a+b&Key-Pair-Id=K", "Signature"),
            ("Policy=p&Signature=%22%0a&Key-Pair-Id=K", "Signature"),
            ("Policy=p&Signature=%zz&Key-Pair-Id=K", "Signature"),
            ("Policy=p&Signature=s&Key-Pair-Id=K&Hash-Algorithm=", "Hash-Algorithm"),
        ] {
            assert_eq!(refused_field(query), field, "{query}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_into_playlists_needs_no_escaping(
            query in r"((Policy|Signature|Key-Pair-Id|Hash-Algorithm|Media-Signature|a)=[!-~é]{0,4}&?|Media-Ip=[0-9./]{0,9}&?|Media-Ip=1.2.3.4/32&|%[0-9a-f]{2}){0,8}",
        ) {
            if let Ok(parsed) = PlayQuery::parse(&query) {
                for text in [&parsed.for_cdn, &parsed.for_playlists, &parsed.for_media("m")] {
                    let needs_none = |byte| is_plain(byte) || matches!(byte, b'=' | b'&' | b'.' | b'/');
                    prop_assert!(text.bytes().all(needs_none), "{}", text);
                }
            }
        }
    }
}

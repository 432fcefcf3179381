//! The query of a viewer's request for a playlist.

use crate::problem::{Problem, ProblemKind};
use crate::request::percent_decode;
use crate::sign::cloudfront::SignedPolicy;

/// The parameters, in the order in which they are written. The last two are there for a grant that is limited to a network: the CDN
/// sees the edge's address when it is asked for a playlist, so the limit is only in the policy of the media files.
const NAMES: [&str; 6] =
    ["Policy", "Signature", "Key-Pair-Id", "Hash-Algorithm", "Media-Policy", "Media-Signature"];

/// A complete query. Each text has no leading `?` and only characters that need no escaping, whatever the viewer sent.
#[derive(PartialEq, Eq)]
pub(super) struct PlayQuery {
    /// What the CDN is asked with.
    pub(super) for_cdn: String,
    /// What playlists have in their URIs: all parameters.
    pub(super) for_playlists: String,
    /// What media files have in their URIs.
    pub(super) for_media: String,
    /// The policy that decides about the playlist, encoded.
    pub(super) policy: String,
}

impl PlayQuery {
    /// Reads the parameters of a signature. Values that a player has percent-encoded are decoded; other parameters (of analytics, of
    /// CMCD) are ignored, because players add them without being asked.
    ///
    /// A parameter that is missing, repeated or malformed is refused as the CDN would refuse it, without asking it.
    pub(super) fn parse(query: &str) -> Result<Self, Problem> {
        let mut values: [Option<String>; NAMES.len()] = Default::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name == "Expires" {
                let detail = "is of a signature for a single file: request the URL of a stream, with the format `hls`.";
                return Err(refused("Expires", detail));
            }
            let Some(index) = NAMES.iter().position(|known| *known == name) else { continue };
            let value =
                percent_decode(value).filter(|value| !value.is_empty() && value.bytes().all(is_plain));
            let value = value
                .ok_or_else(|| refused(name, "is not as it was issued: use the whole URL unchanged."))?;
            if values[index].replace(value.into_owned()).is_some() {
                return Err(refused(name, "was sent more than once."));
            }
        }
        let [policy, signature, key_pair_id, hash, media_policy, media_signature] = values;
        let required = |index: usize, value: Option<String>| {
            value.ok_or_else(|| refused(NAMES[index], "is missing: use the whole URL as it was issued."))
        };
        let (policy, signature) = (required(0, policy)?, required(1, signature)?);
        let key_pair_id = required(2, key_pair_id)?;
        let hash = hash.map_or(String::new(), |hash| ["&Hash-Algorithm=", &hash].concat());
        let write = |policy: &str, signature: &str| {
            ["Policy=", policy, "&Signature=", signature, "&Key-Pair-Id=", &key_pair_id, &hash].concat()
        };
        let for_cdn = write(&policy, &signature);
        let (for_playlists, for_media) = match (media_policy, media_signature) {
            (None, None) => (for_cdn.clone(), for_cdn.clone()),
            (policy, signature) => {
                let (policy, signature) = (required(4, policy)?, required(5, signature)?);
                (with_media(&for_cdn, &policy, &signature), write(&policy, &signature))
            }
        };
        Ok(Self { for_cdn, for_playlists, for_media, policy })
    }
}

fn with_media(for_cdn: &str, policy: &str, signature: &str) -> String {
    [for_cdn, "&Media-Policy=", policy, "&Media-Signature=", signature].concat()
}

/// The query of a stream whose media files are limited to a network: `playlists` allows the playlists for every address, `media` all
/// files for one network. `None` if they were signed with different key pairs, because the query has one key pair's id.
pub(in crate::api) fn ip_bound_query(playlists: &SignedPolicy, media: &SignedPolicy) -> Option<String> {
    let (policy, signature) = media.policy_and_signature();
    (playlists.key_pair_id() == media.key_pair_id())
        .then(|| with_media(&playlists.query(), &policy, signature))
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
            assert_eq!(parsed.for_cdn, plain, "{query}");
            assert_eq!((&*parsed.for_playlists, &*parsed.for_media), (plain, plain), "{query}");
        }
        assert_eq!(parse("Policy=a&Signature=b&Key-Pair-Id=c").for_cdn, "Policy=a&Signature=b&Key-Pair-Id=c");
    }

    #[test]
    fn media_files_have_their_own_policy_where_the_query_has_one() {
        let parsed = parse(
            "Policy=p&Signature=s&Key-Pair-Id=K&Hash-Algorithm=SHA256&Media-Policy=m&Media-Signature=t",
        );
        assert_eq!(parsed.for_cdn, "Policy=p&Signature=s&Key-Pair-Id=K&Hash-Algorithm=SHA256");
        assert_eq!(parsed.for_media, "Policy=m&Signature=t&Key-Pair-Id=K&Hash-Algorithm=SHA256");
        assert_eq!(parsed.for_playlists, format!("{}&Media-Policy=m&Media-Signature=t", parsed.for_cdn));
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
            ("Policy=p&Signature=s&Key-Pair-Id=K&Media-Policy=m", "Media-Signature"),
            ("Policy=p&Signature=s&Key-Pair-Id=K&Media-Signature=m", "Media-Policy"),
        ] {
            assert_eq!(refused_field(query), field, "{query}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_into_playlists_needs_no_escaping(query in r"((Policy|Signature|Key-Pair-Id|Hash-Algorithm|a)=[!-~é]{0,4}&?|%[0-9a-f]{2}){0,6}") {
            if let Ok(parsed) = PlayQuery::parse(&query) {
                for text in [parsed.for_cdn, parsed.for_playlists, parsed.for_media] {
                    prop_assert!(text.bytes().all(|byte| is_plain(byte) || matches!(byte, b'=' | b'&')), "{}", text);
                }
            }
        }
    }
}

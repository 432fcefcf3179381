//! A fact on its way to the log: one commit for one stream, from a producer that does not wait for the append.
//!
//! The same JSON is the body of a queue's message and the data of a Kinesis record:
//!
//! ```json
//! {"v":1,"stream":"video/acme/vid_…","commitId":"cmt_…","events":[{"type":"upload.granted","v":1,"at":"…","data":{}}],"recordedAt":"…"}
//! ```
//!
//! Queues and Kinesis deliver a fact at least once and in any order. The consumer (`streamio_core::intake`) merges facts into
//! commits at the version that it read; the ids of the facts make a repeated delivery change nothing.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::commit::NewCommit;
use crate::event::RecordedEvent;
use crate::id::CommitId;
use crate::log::check;
use crate::stream::StreamId;
use crate::timestamp::Timestamp;

/// Maximum size of a fact as JSON, in bytes. A Cloudflare Queue message holds 128,000 bytes, of which the queue itself
/// uses about 100 (<https://developers.cloudflare.com/queues/platform/limits/>). A Kinesis record holds 1 MiB with its
/// partition key (<https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>).
pub const MAX_FACT_BYTES: usize = 127_000;

/// The version of the JSON form above. A build reads all versions up to its own.
const VERSION: u64 = 1;

/// One validated commit for one stream, which the log will accept and a queue can carry. It is not in canonical form;
/// the log converts it on append.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    stream: StreamId,
    commit: NewCommit,
    json: String,
}

/// Why a value is not a valid fact. Retrying with the same value does not help.
#[derive(Debug, thiserror::Error)]
pub enum InvalidFact {
    /// Not the JSON of a fact.
    #[error("it is not the JSON of a fact")]
    Malformed(#[source] serde_json::Error),
    /// Written by a newer build.
    #[error(
        "it has version {version}, and this build reads versions up to {VERSION}; deploy the reader before the writer"
    )]
    UnknownVersion {
        /// The version in the JSON.
        version: u64,
    },
    /// The log would refuse it.
    #[error("the log would refuse it: {reason}")]
    Inadmissible {
        /// What is wrong with the commit, see [`admit`](crate::log::admit).
        reason: String,
    },
    /// More than [`MAX_FACT_BYTES`].
    #[error(
        "it has {bytes} bytes as JSON, more than {MAX_FACT_BYTES}; split its events into several commits"
    )]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
}

impl Fact {
    /// Validates `commit` for `stream`.
    pub fn new(stream: StreamId, commit: NewCommit) -> Result<Self, InvalidFact> {
        check(&stream, &commit).map_err(|reason| InvalidFact::Inadmissible { reason })?;
        if let Some(other) = commit.events.iter().find_map(|event| event.fact.as_ref()) {
            let reason = format!("its events are those of another fact, {other}");
            return Err(InvalidFact::Inadmissible { reason });
        }
        let json = json_of(&stream, &commit);
        if json.len() > MAX_FACT_BYTES {
            return Err(InvalidFact::TooLarge { bytes: json.len() });
        }
        Ok(Self { stream, commit, json })
    }

    /// Parses the [`Self::json`] of this build or an older one.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidFact> {
        if json.len() > MAX_FACT_BYTES {
            return Err(InvalidFact::TooLarge { bytes: json.len() });
        }
        match serde_json::from_slice::<Wire>(json) {
            Ok(wire) => wire.try_into(),
            // A newer version may have other fields: report the version, not its fields.
            Err(error) => Err(match serde_json::from_slice(json) {
                Ok(Versioned { v }) if v != VERSION => InvalidFact::UnknownVersion { version: v },
                _ => InvalidFact::Malformed(error),
            }),
        }
    }

    /// The fact as JSON, at most [`MAX_FACT_BYTES`].
    pub fn json(&self) -> &str {
        &self.json
    }

    /// The fact as JSON, for a queue message.
    pub fn into_json(self) -> String {
        self.json
    }

    /// The stream to append to.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The commit to append.
    pub fn commit(&self) -> &NewCommit {
        &self.commit
    }

    /// The stream and the commit, for an append.
    pub fn into_parts(self) -> (StreamId, NewCommit) {
        (self.stream, self.commit)
    }
}

fn json_of(stream: &StreamId, commit: &NewCommit) -> String {
    let NewCommit { id, events, recorded_at } = commit;
    let wire = Borrowed { v: VERSION, stream, commit_id: id, events, recorded_at: *recorded_at };
    serde_json::to_string(&wire).expect("a fact is plain data with text keys")
}

#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Borrowed<'a> {
    v: u64,
    stream: &'a StreamId,
    commit_id: &'a CommitId,
    events: &'a [RecordedEvent],
    recorded_at: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wire {
    v: u64,
    stream: StreamId,
    commit_id: CommitId,
    events: Vec<RecordedEvent>,
    recorded_at: Timestamp,
}

impl TryFrom<Wire> for Fact {
    type Error = InvalidFact;

    fn try_from(wire: Wire) -> Result<Self, InvalidFact> {
        let Wire { v, stream, commit_id, events, recorded_at } = wire;
        if v != VERSION {
            return Err(InvalidFact::UnknownVersion { version: v });
        }
        Self::new(stream, NewCommit { id: commit_id, events, recorded_at })
    }
}

impl Serialize for Fact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let NewCommit { id, events, recorded_at } = &self.commit;
        let wire =
            Borrowed { v: VERSION, stream: &self.stream, commit_id: id, events, recorded_at: *recorded_at };
        wire.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Wire::deserialize(deserializer)?.try_into().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::log::admit;

    fn commit(data: Vec<Value>) -> NewCommit {
        let at = Timestamp::from_unix_millis(1_767_323_045_678);
        let events = data.into_iter().map(|data| RecordedEvent {
            kind: "galaxy.collided".to_owned(),
            version: 1,
            at,
            data,
            fact: None,
        });
        NewCommit { id: CommitId::derived_from(&["cause"]), events: events.collect(), recorded_at: at }
    }

    fn stream() -> StreamId {
        "grants/acme/2026010203/7".parse().unwrap()
    }

    fn any_data() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop::collection::btree_map(".{0,8}", inner, 0..4).prop_map(|map| map.into_iter().collect())
        })
    }

    proptest! {
        #[test]
        fn a_fact_survives_serialization(data in prop::collection::vec(any_data(), 1..4)) {
            if let Ok(fact) = Fact::new(stream(), commit(data)) {
                prop_assert_eq!(&Fact::from_json(fact.json().as_bytes()).unwrap(), &fact);
                prop_assert_eq!(&serde_json::from_str::<Fact>(fact.json()).unwrap(), &fact);
                prop_assert_eq!(serde_json::to_string(&fact).unwrap(), fact.json());
                prop_assert!(admit(&stream(), fact.commit().clone()).is_ok());
            }
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in 0usize..400) {
            prop_assert!(Fact::from_json(&bytes).is_err());
            let json = Fact::new(stream(), commit(vec![json!({})])).unwrap().into_json();
            if let Some(beginning) = json.as_bytes().get(..cut).filter(|beginning| beginning.len() < json.len()) {
                prop_assert!(matches!(Fact::from_json(beginning), Err(InvalidFact::Malformed(_))));
            }
        }
    }

    #[test]
    fn the_largest_fact_passes_and_one_byte_more_is_refused() {
        let padded =
            |bytes: usize| Fact::new(stream(), commit(vec![json!({ "padding": "x".repeat(bytes) })]));
        let padding = MAX_FACT_BYTES - padded(0).unwrap().json().len();
        assert_eq!(padded(padding).unwrap().json().len(), MAX_FACT_BYTES);
        let refused = padded(padding + 1).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "it has 127001 bytes as JSON, more than 127000; split its events into several commits"
        );
        let blank = padded(padding).unwrap().into_json() + " ";
        assert!(matches!(Fact::from_json(blank.as_bytes()), Err(InvalidFact::TooLarge { bytes: 127_001 })));
    }

    /// Only numbers can be longer in canonical form.
    #[test]
    fn the_largest_fact_is_not_too_large_for_the_log() {
        for number in [json!(1e-6), json!(1e15), json!(-1.5e-300), json!(9_007_199_254_740_991_u64)] {
            let one = json!([number]).to_string().len() - 1;
            let data = vec![json!(vec![number; (MAX_FACT_BYTES - 400) / one])];
            let fact = Fact::new(stream(), commit(data)).unwrap();
            assert!(fact.json().len() > MAX_FACT_BYTES - 500);
            admit(&stream(), fact.commit().clone()).unwrap();
        }
    }

    #[test]
    fn a_commit_that_the_log_would_refuse_is_refused_at_once() {
        let reason = |commit| Fact::new(stream(), commit).unwrap_err().to_string();
        assert_eq!(reason(commit(Vec::new())), "the log would refuse it: it has no events");
        assert!(reason(commit(vec![json!(u64::MAX)])).contains("beyond ±(2^53 - 1)"));
        let mut of_another = commit(vec![json!({})]);
        of_another.events[0].fact = Some(CommitId::derived_from(&["another"]));
        let id = CommitId::derived_from(&["another"]);
        assert_eq!(
            reason(of_another),
            format!("the log would refuse it: its events are those of another fact, {id}")
        );
        let read = json!({
            "v": 1, "stream": "project/acme", "commitId": CommitId::derived_from(&["a"]), "events": [],
            "recordedAt": "2026-01-02T03:04:05.678Z",
        });
        let refused = Fact::from_json(read.to_string().as_bytes()).unwrap_err();
        assert!(matches!(refused, InvalidFact::Inadmissible { .. }), "{refused}");
    }

    #[test]
    fn another_version_or_an_unknown_field_is_named_by_the_refusal() {
        let mut wire: Value =
            serde_json::from_str(Fact::new(stream(), commit(vec![json!({})])).unwrap().json()).unwrap();
        wire["later"] = json!("unheard of");
        let refused = Fact::from_json(wire.to_string().as_bytes()).unwrap_err();
        assert!(matches!(&refused, InvalidFact::Malformed(error) if error.to_string().contains("`later`")));
        wire["v"] = json!(2);
        let refused = Fact::from_json(wire.to_string().as_bytes()).unwrap_err();
        assert!(matches!(refused, InvalidFact::UnknownVersion { version: 2 }), "{refused}");
        assert!(serde_json::from_value::<Fact>(wire).is_err());
    }
}

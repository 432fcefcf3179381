//! The frozen example of a fact, which must always be parsed.

use serde_json::Value;
use sha2::{Digest, Sha256};
use streamio_events::fact::Fact;

const FIXTURE: &str = include_str!("../../fixtures/facts/fact.v1.json");

/// Queues and streams hold facts for days: facts of older builds must still be parsed.
#[test]
fn a_fact_of_the_first_version_can_be_parsed() {
    let digest = base16ct::lower::encode_string(&Sha256::digest(FIXTURE));
    assert_eq!(
        digest, "92fcb4fb405d434f0058be76d4959b446b6428cc81fabdc78ff1db9727f5a7f8",
        "the fixture is frozen: a new form is a new version in a new file"
    );
    let fact = Fact::from_json(FIXTURE.as_bytes()).unwrap();
    assert_eq!(fact.stream().to_string(), "video/acme/vid_tbkj5m62dvafwldlqbvftya3f3");
    let commit = fact.commit();
    assert_eq!(commit.id.as_str(), "cmt_abcdefghijklmnopqrstuvwxyz");
    assert_eq!(commit.recorded_at.to_string(), "2026-01-02T03:04:05.678Z");
    let kinds: Vec<&str> = commit.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["upload.granted", "galaxy.collided"]);
    commit.events[0].body().unwrap();
    let (written, frozen): (Value, Value) =
        (serde_json::from_str(fact.json()).unwrap(), serde_json::from_str(FIXTURE).unwrap());
    assert_eq!(written, frozen);
}

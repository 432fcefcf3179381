//! Facts, as records of Kinesis and messages of a queue.

use streamio_events::fact::Fact;
use streamio_events::kinesis::put_records::{partition_key, record_bytes};

/// An accepted fact is printed as the same fact, within the limits of Kinesis.
pub fn check(data: &[u8]) {
    let Ok(fact) = Fact::from_json(data) else { return };
    let json = fact.json().to_owned();
    let again = Fact::from_json(json.as_bytes()).expect("what is printed is accepted");
    assert_eq!(again.json(), json);
    assert_eq!((again.stream(), again.commit()), (fact.stream(), fact.commit()));
    assert!((1..=256).contains(&partition_key(&fact).chars().count()));
    assert!(record_bytes(&fact) >= json.len() && record_bytes(&fact) <= 1 << 20);
}

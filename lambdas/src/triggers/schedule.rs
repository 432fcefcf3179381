//! The event of a schedule, sent by an EventBridge rule or by EventBridge Scheduler
//! (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html>). A late or repeated event is
//! harmless.
//!
//! A schedule may name a part of the due videos as its constant input, `{"part":3,"of":16}`: then each of 16 schedules invokes the sweep
//! of its own part.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde::Deserialize;
use serde_json::Value;
use streamio_events::log::Part;
use streamio_events::timestamp::Timestamp;

use super::UnexpectedEvent;

const EXPECTED: &str = "scheduled event";

/// What a schedule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduled {
    /// All that is due, at this time if the event states one.
    Everything(Option<Timestamp>),
    /// The due videos of a part.
    Part(Part),
}

/// The constant input of a schedule for a part.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartInput {
    part: u32,
    of: u32,
}

/// Reads the event.
pub fn read(event: Value) -> Result<Scheduled, UnexpectedEvent> {
    let unexpected = |found: String| UnexpectedEvent { expected: EXPECTED, found };
    if let Ok(PartInput { part, of }) = PartInput::deserialize(&event) {
        let found = || unexpected(format!("it names part {part} of {of}, and parts are numbered from 0"));
        return Part::new(part, of).map(Scheduled::Part).ok_or_else(found);
    }
    let event: EventBridgeEvent =
        serde_json::from_value(event).map_err(|_| unexpected("it is not an EventBridge event".to_owned()))?;
    if event.detail_type != "Scheduled Event" {
        return Err(unexpected(format!("its type is {}", event.detail_type)));
    }
    let at = event.time.map(|time| Timestamp::from_unix_millis(time.timestamp_millis()));
    Ok(Scheduled::Everything(at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_kinds_of_schedules_are_read() {
        for text in [
            include_str!("../../tests/payloads/schedule_rule.json"),
            include_str!("../../tests/payloads/schedule_scheduler.json"),
        ] {
            let at = "2026-01-02T03:04:00.000Z".parse().unwrap();
            assert_eq!(read(serde_json::from_str(text).unwrap()).unwrap(), Scheduled::Everything(Some(at)));
        }
    }

    #[test]
    fn a_part_is_read_from_the_input_of_its_schedule() {
        let part = Part::new(15, 16).unwrap();
        assert_eq!(read(json!({ "part": 15, "of": 16 })).unwrap(), Scheduled::Part(part));
        assert_eq!(
            read(json!({ "part": 16, "of": 16 })).unwrap_err().to_string(),
            "the event is not of the expected kind (scheduled event): it names part 16 of 16, and parts are numbered from 0"
        );
        for odd in [json!({ "part": 1 }), json!({ "part": -1, "of": 2 }), json!({ "part": 0, "of": 0 })] {
            assert!(read(odd.clone()).is_err(), "{odd}");
        }
    }

    #[test]
    fn another_event_is_an_error() {
        let s3 = serde_json::from_str(include_str!("../../tests/payloads/s3_eventbridge.json")).unwrap();
        assert_eq!(
            read(s3).unwrap_err().to_string(),
            "the event is not of the expected kind (scheduled event): its type is Object Created"
        );
        assert!(read(json!({})).is_err());
    }
}

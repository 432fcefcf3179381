//! The event of a schedule, sent by an EventBridge rule or by EventBridge Scheduler
//! (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html>). A late or repeated event is
//! harmless.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde_json::Value;
use streamio_events::timestamp::Timestamp;

use super::UnexpectedEvent;

const EXPECTED: &str = "scheduled event";

/// The time for which the event was scheduled, if it states one.
pub fn read(event: Value) -> Result<Option<Timestamp>, UnexpectedEvent> {
    let unexpected = |found: String| UnexpectedEvent { expected: EXPECTED, found };
    let event: EventBridgeEvent =
        serde_json::from_value(event).map_err(|_| unexpected("it is not an EventBridge event".to_owned()))?;
    if event.detail_type != "Scheduled Event" {
        return Err(unexpected(format!("its type is {}", event.detail_type)));
    }
    Ok(event.time.map(|time| Timestamp::from_unix_millis(time.timestamp_millis())))
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
            let at = read(serde_json::from_str(text).unwrap()).unwrap().unwrap();
            assert_eq!(at.to_string(), "2026-01-02T03:04:00.000Z");
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

//! The schedule's event, by a rule of EventBridge or by EventBridge Scheduler
//! (<https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html>). It says nothing but that it is
//! time; one that comes late or twice is as good.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde_json::Value;
use streamio_events::timestamp::Timestamp;

use super::UnexpectedEvent;

const EXPECTED: &str = "scheduled event";

/// For when it was scheduled, where the event says so.
pub fn read(event: Value) -> Result<Option<Timestamp>, UnexpectedEvent> {
    let unexpected = |found: String| UnexpectedEvent { expected: EXPECTED, found };
    let event: EventBridgeEvent =
        serde_json::from_value(event).map_err(|_| unexpected("it has another form".to_owned()))?;
    if event.detail_type != "Scheduled Event" {
        return Err(unexpected(format!("it is of the type {}", event.detail_type)));
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
    fn anything_else_goes_back() {
        let s3 = serde_json::from_str(include_str!("../../tests/payloads/s3_eventbridge.json")).unwrap();
        assert_eq!(
            read(s3).unwrap_err().to_string(),
            "the event is no scheduled event: it is of the type Object Created"
        );
        assert!(read(json!({})).is_err());
    }
}

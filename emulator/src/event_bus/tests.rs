//! Tests of the bus with functions that record their events.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Event, EventBus, EventFault, Rule};
use crate::lambda::{AsyncConfig, FunctionError, Invoke, InvokeError};

#[derive(Default)]
struct RecordingFunctions(Mutex<Vec<(String, Value)>>);

#[async_trait]
impl Invoke for RecordingFunctions {
    async fn invoke(&self, function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        self.0.lock().unwrap().push((function.to_owned(), serde_json::from_slice(&payload).unwrap()));
        match function {
            "broken" => Err(FunctionError::new("a", "b").into()),
            _ => Ok(Bytes::new()),
        }
    }
}

impl RecordingFunctions {
    /// Returns the object keys of the events that `function` received, in order.
    fn keys(&self, function: &str) -> Vec<String> {
        let all = self.0.lock().unwrap();
        let events = all.iter().filter(|(to, _)| to == function);
        events.map(|(_, event)| event["detail"]["key"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn bus() -> (EventBus, Arc<RecordingFunctions>) {
    let functions = Arc::new(RecordingFunctions::default());
    let invoke = Arc::clone(&functions) as Arc<dyn Invoke>;
    let bus = EventBus::new("us-east-1", "123456789012", invoke, AsyncConfig::scaled_down());
    bus.add_rule(Rule::new("uploads", "aws.s3", &["Object Created"], "uploads"));
    (bus, functions)
}

fn created(key: &str) -> Event {
    Event {
        source: "aws.s3".into(),
        detail_type: "Object Created".into(),
        resources: vec!["arn:aws:s3:::raw".into()],
        detail: json!({ "key": key }),
    }
}

#[tokio::test]
async fn an_event_is_sent_to_the_targets_of_matching_rules_in_the_documented_form() {
    let (bus, functions) = bus();
    bus.add_rule(Rule::new("tasks", "aws.ecs", &["ECS Task State Change"], "tasks"));
    let id = bus.put(created("a"));
    bus.put(Event { detail_type: "Object Deleted".into(), ..created("b") });
    bus.wait_until_idle().await;
    let all = functions.0.lock().unwrap();
    let [(to, event)] = &all[..] else { panic!("{all:?}") };
    let mut event = event.clone();
    let time = event["time"].as_str().unwrap().to_owned();
    assert_eq!((time.len(), &time[19..]), (20, "Z"), "{time}");
    event["time"] = "now".into();
    assert_eq!(to, "uploads");
    let expected = json!({
        "version": "0",
        "id": id,
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "123456789012",
        "time": "now",
        "region": "us-east-1",
        "resources": ["arn:aws:s3:::raw"],
        "detail": { "key": "a" },
    });
    assert_eq!(event, expected);
    assert_eq!(bus.events().len(), 2);
}

#[tokio::test]
async fn a_schedule_invokes_its_function_with_a_scheduled_event() {
    let (bus, functions) = bus();
    bus.schedule("often", Duration::from_millis(20), "sweep");
    while functions.0.lock().unwrap().len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bus.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let all = functions.0.lock().unwrap().clone();
    let (function, event) = &all[0];
    assert_eq!(function, "sweep");
    assert_eq!((&event["source"], &event["detail-type"]), (&"aws.events".into(), &"Scheduled Event".into()));
    assert_eq!(event["resources"], json!(["arn:aws:events:us-east-1:123456789012:rule/often"]));
    assert_eq!(event["detail"], json!({}));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(functions.0.lock().unwrap().len(), all.len(), "schedules end with the bus");
}

#[tokio::test]
async fn injected_faults_drop_delay_and_duplicate_events() {
    let (bus, functions) = bus();
    bus.inject_next(EventFault::Drop);
    bus.inject_when(EventFault::Delay(Duration::from_millis(300)), 1, |event| {
        event["detail"]["key"] == "late"
    });
    bus.inject_when(EventFault::Duplicate(2), 1, |event| event["detail"]["key"] == "often");
    for key in ["lost", "late", "often", "usual"] {
        bus.put(created(key));
    }
    assert_eq!(bus.faults_left(), 0);
    bus.wait_until_idle().await;
    let keys = functions.keys("uploads");
    assert_eq!(keys.last().map(String::as_str), Some("late"));
    let count = |key: &str| keys.iter().filter(|it| *it == key).count();
    assert_eq!((count("lost"), count("often"), count("usual")), (0, 3, 1));
    let ids: std::collections::HashSet<String> = bus.events().iter().map(|it| it["id"].to_string()).collect();
    assert_eq!(ids.len(), 4, "the copies of an event have one id");
}

#[tokio::test]
async fn an_event_that_a_function_does_not_handle_is_a_dead_letter_and_does_not_delay_others() {
    let (bus, functions) = bus();
    bus.add_rule(Rule::new("second", "aws.s3", &["Object Created"], "broken"));
    bus.put(created("a"));
    bus.wait_until_idle().await;
    assert_eq!(functions.keys("uploads"), ["a"]);
    assert_eq!(functions.keys("broken"), ["a", "a", "a"]);
    let dead = bus.dead_letters();
    assert_eq!((dead.len(), dead[0].function.as_str()), (1, "broken"));
    assert_eq!(dead[0].event["detail"]["key"], "a");
}

//! Injected faults.

use serde_json::json;

use super::{NAME, echo, service};
use streamio_emulator::lambda::{Fault, InvokeError};

/// Returns the number of lines of the file that the function appends to.
fn effects(file: &std::path::Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

#[tokio::test]
async fn a_crash_before_the_work_has_no_effect_and_one_before_the_response_has() {
    let (service, folder) = (service(), tempfile::tempdir().unwrap());
    let file = folder.path().join("effects");
    let event = json!({ "append": { "file": file, "line": "a" } });

    for warm in [false, true] {
        let before = effects(&file);
        service.fail_next(NAME, Fault::CrashBeforeWork).unwrap();
        service.invoke_json(NAME, &event).await.unwrap_err();
        assert_eq!(effects(&file), before, "warm: {warm}");

        service.fail_next(NAME, Fault::CrashBeforeResponse).unwrap();
        let error = service.invoke_json(NAME, &event).await.unwrap_err();
        assert!(error.has_reached_function());
        let InvokeError::Function(cause) = &error else { panic!("{error}") };
        assert!(cause.message.contains("signal: 9"), "{cause}");
        assert_eq!(effects(&file), before + 1, "warm: {warm}");

        // A new process handles the retry.
        let first = service.invoke_json(NAME, &event).await.unwrap();
        assert_eq!(service.invoke_json(NAME, &event).await.unwrap(), first, "the same process");
        assert_eq!(effects(&file), before + 3, "warm: {warm}");
    }
    assert_eq!(service.faults_left(NAME).unwrap(), 0);
    assert_eq!(service.counters(NAME).unwrap().crashes, 4);
}

#[tokio::test]
async fn an_injected_error_or_throttling_does_not_invoke_the_function() {
    let (service, folder) = (service(), tempfile::tempdir().unwrap());
    let file = folder.path().join("effects");
    let event = json!({ "append": { "file": file, "line": "a" } });
    service.fail_next_times(NAME, Fault::Error, 2).unwrap();
    service.fail_next(NAME, Fault::Throttled).unwrap();
    for _ in 0..2 {
        assert!(matches!(service.invoke_json(NAME, &event).await, Err(InvokeError::Function(_))));
    }
    assert!(matches!(service.invoke_json(NAME, &event).await, Err(InvokeError::Throttled { .. })));
    assert_eq!(effects(&file), 0);
    let counters = service.counters(NAME).unwrap();
    assert_eq!((counters.errors, counters.throttled, counters.starts), (2, 1, 0));
}

#[tokio::test]
async fn a_fault_with_a_predicate_affects_only_matching_events() {
    let service = service();
    service.fail_when(NAME, Fault::CrashBeforeResponse, 1, |event| event["echo"] == "b").unwrap();
    service.invoke_json(NAME, &echo("a")).await.unwrap();
    service.invoke_json(NAME, &echo("b")).await.unwrap_err();
    service.invoke_json(NAME, &echo("b")).await.unwrap();
    service.fail_next(NAME, Fault::Error).unwrap();
    service.clear_faults(NAME).unwrap();
    service.invoke_json(NAME, &echo("b")).await.unwrap();
}

//! The environment of functions, their responses, and their failures.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use super::{NAME, echo, function, service, service_with};
use streamio_emulator::lambda::{FunctionConfig, InvokeError, MAX_PAYLOAD_BYTES, Service, ServiceConfig};

fn error_type(error: &InvokeError) -> &str {
    match error {
        InvokeError::Function(error) => &error.error_type,
        other => panic!("not an error of the function: {other}"),
    }
}

#[tokio::test]
async fn a_function_responds_and_its_environment_is_reused() {
    let service = service();
    for number in 0..3 {
        assert_eq!(service.invoke_json(NAME, &echo(number)).await.unwrap(), number);
    }
    let counters = service.counters(NAME).unwrap();
    assert_eq!((counters.invocations, counters.succeeded, counters.starts), (3, 3, 1));
    assert_eq!((counters.cold.len(), counters.warm.len(), counters.failures()), (1, 2, 0));
}

#[tokio::test]
async fn a_function_has_the_documented_environment_and_inherits_nothing() {
    let mut config = function();
    config.memory_mb = 256;
    config.environment = vec![("STREAMIO_LEDGER_TABLE".into(), "ledger".into())];
    let service = service_with(config);
    let response = service.invoke_json(NAME, &json!("context")).await.unwrap();
    let environment = &response["environment"];
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", NAME),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/scripted"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "emulated"),
        ("_HANDLER", "bootstrap"),
        ("STREAMIO_LEDGER_TABLE", "ledger"),
    ] {
        assert_eq!(environment[name], value, "{name}");
    }
    assert!(environment["AWS_LAMBDA_LOG_STREAM_NAME"].as_str().unwrap().contains("/[$LATEST]"));
    // Variables of the test process.
    for name in ["CARGO_MANIFEST_DIR", "HOME"] {
        assert_eq!(environment[name], Value::Null, "{name}");
    }
    assert_eq!(response["arn"], "arn:aws:lambda:us-east-1:000000000000:function:scripted");
    assert_eq!(response["requestId"].as_str().unwrap().len(), 36);
    assert!(response["traceId"].as_str().unwrap().starts_with("Root=1-"));
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let left = response["deadline"].as_i64().unwrap() - now;
    assert!((15_000..=20_000).contains(&left), "{left} ms until the deadline");
}

#[tokio::test]
async fn a_function_that_fails_reports_the_error_and_is_reused() {
    let service = service();
    let error = service.invoke_json(NAME, &json!({ "fail": "no luck" })).await.unwrap_err();
    let InvokeError::Function(stated) = &error else { panic!("{error}") };
    assert_eq!(stated.message, "no luck");
    assert!(error.is_retryable() && error.has_reached_function());
    service.invoke_json(NAME, &echo(1)).await.unwrap();
    let counters = service.counters(NAME).unwrap();
    assert_eq!((counters.errors, counters.crashes, counters.starts), (1, 0, 1));
}

#[tokio::test]
async fn a_process_that_ends_fails_its_invocation_and_the_next_one_starts_another() {
    let service = service();
    let error = service.invoke_json(NAME, &json!({ "exit": 3 })).await.unwrap_err();
    assert_eq!(error_type(&error), "Runtime.ExitError");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("exit status: 3"));
    assert_eq!(service.invoke_json(NAME, &echo("again")).await.unwrap(), "again");
    let counters = service.counters(NAME).unwrap();
    assert_eq!((counters.crashes, counters.starts, counters.succeeded), (1, 2, 1));
}

#[tokio::test]
async fn a_function_that_times_out_is_killed_at_its_deadline() {
    // Longer than a response takes on a slow machine.
    let timeout = Duration::from_secs(2);
    let service = service_with(FunctionConfig { timeout, ..function() });
    service.invoke_json(NAME, &echo(1)).await.unwrap();
    let begun = std::time::Instant::now();
    let error = service.invoke_json(NAME, &json!({ "sleep": 60_000 })).await.unwrap_err();
    assert_eq!(error_type(&error), "Sandbox.Timedout");
    assert!(begun.elapsed() >= timeout);
    service.invoke_json(NAME, &echo(1)).await.unwrap();
    let counters = service.counters(NAME).unwrap();
    assert_eq!((counters.timeouts, counters.starts), (1, 2));
}

#[tokio::test]
async fn a_program_that_cannot_start_fails_the_invocation_with_the_reason() {
    let mut config = function();
    config.environment = vec![("FAIL_AT_START".into(), "no settings".into())];
    let service = service_with(config);
    let error = service.invoke_json(NAME, &echo(1)).await.unwrap_err();
    assert_eq!(error_type(&error), "Runtime.ExitError");

    service.register(FunctionConfig::new(NAME, "/no/such/program"));
    let error = service.invoke_json(NAME, &echo(1)).await.unwrap_err();
    assert_eq!(error_type(&error), "Runtime.InvalidEntrypoint");
}

#[tokio::test]
async fn a_program_that_never_requests_an_event_is_killed_after_the_init_timeout() {
    let init_timeout = Duration::from_millis(200);
    let service = Service::new(ServiceConfig { init_timeout, ..ServiceConfig::default() });
    let environment = vec![("IDLE_AT_START".into(), "1".into())];
    service.register(FunctionConfig { environment, ..function() });
    let error = service.invoke_json(NAME, &echo(1)).await.unwrap_err();
    assert_eq!(error_type(&error), "Sandbox.Timedout");
}

#[tokio::test]
async fn concurrent_invocations_have_separate_environments_and_are_throttled_above_the_concurrency() {
    let service = service_with(FunctionConfig { concurrency: 2, ..function() });
    let sleep = json!({ "sleep": 500 });
    let results = join_all((0..4).map(|_| service.invoke_json(NAME, &sleep))).await;
    let throttled =
        |result: &&Result<Value, InvokeError>| matches!(result, Err(InvokeError::Throttled { .. }));
    assert_eq!(results.iter().filter(throttled).count(), 2);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 2);
    let counters = service.counters(NAME).unwrap();
    assert_eq!((counters.starts, counters.throttled, counters.invocations), (2, 2, 2));
}

#[tokio::test]
async fn payloads_have_at_most_six_megabytes_both_ways() {
    let service = service();
    let fits = echo("a".repeat(MAX_PAYLOAD_BYTES - 100));
    assert_eq!(service.invoke_json(NAME, &fits).await.unwrap(), fits["echo"]);
    let error = service.invoke_json(NAME, &echo("a".repeat(MAX_PAYLOAD_BYTES))).await.unwrap_err();
    assert!(matches!(error, InvokeError::TooLarge { .. }) && !error.is_retryable(), "{error}");
    let error = service.invoke_json(NAME, &json!({ "large": MAX_PAYLOAD_BYTES })).await.unwrap_err();
    assert_eq!(error_type(&error), "Function.ResponseSizeTooLarge");
}

#[tokio::test]
async fn the_output_of_a_function_is_kept_unchanged() {
    let service = service();
    let line = r#"{"level":"WARN","message":"a"}"#;
    service.invoke_json(NAME, &json!({ "print": line })).await.unwrap();
    // The pipe is read concurrently with the invocation.
    for _ in 0..100 {
        if service.log_lines(NAME).unwrap().iter().any(|written| written == line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?}", service.log_lines(NAME));
}

#[tokio::test]
async fn an_unknown_function_and_a_stopped_service_are_errors() {
    let service = service();
    assert!(matches!(service.invoke_json("other", &echo(1)).await, Err(InvokeError::Unknown { .. })));
    service.stop().await;
    assert!(matches!(service.invoke_json(NAME, &echo(1)).await, Err(InvokeError::Stopped)));
}

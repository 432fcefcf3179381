//! What functions are told, what they answer, and how they fail by themselves.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use super::{NAME, echo, function, service, service_with};
use streamio_emulator::lambda::{FunctionConfig, InvokeError, MAX_PAYLOAD_BYTES, Service, ServiceConfig};

fn error_type(error: &InvokeError) -> &str {
    match error {
        InvokeError::Function(error) => &error.error_type,
        other => panic!("not the function's error: {other}"),
    }
}

#[tokio::test]
async fn a_function_answers_and_its_environment_is_used_again() {
    let service = service();
    for number in 0..3 {
        assert_eq!(service.invoke_json(NAME, &echo(number)).await.unwrap(), number);
    }
    let counters = service.counters(NAME).unwrap();
    assert_eq!((counters.invocations, counters.answered, counters.starts), (3, 3, 1));
    assert_eq!((counters.cold.len(), counters.warm.len(), counters.failures()), (1, 2, 0));
}

#[tokio::test]
async fn a_function_is_told_what_the_service_documents_and_nothing_of_this_process() {
    let mut config = function();
    config.memory_mb = 256;
    config.environment = vec![("STREAMIO_LEDGER_TABLE".into(), "ledger".into())];
    let service = service_with(config);
    let told = service.invoke_json(NAME, &json!("context")).await.unwrap();
    let environment = &told["environment"];
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
    // The tests themselves run with these.
    for name in ["CARGO_MANIFEST_DIR", "HOME"] {
        assert_eq!(environment[name], Value::Null, "{name}");
    }
    assert_eq!(told["arn"], "arn:aws:lambda:us-east-1:000000000000:function:scripted");
    assert_eq!(told["requestId"].as_str().unwrap().len(), 36);
    assert!(told["traceId"].as_str().unwrap().starts_with("Root=1-"));
    let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let left = told["deadline"].as_i64().unwrap() - now;
    assert!((15_000..=20_000).contains(&left), "{left} ms until the deadline");
}

#[tokio::test]
async fn a_function_that_fails_says_why_and_goes_on() {
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
async fn a_process_that_ends_fails_its_invocation_and_the_next_has_a_new_one() {
    let service = service();
    let error = service.invoke_json(NAME, &json!({ "exit": 3 })).await.unwrap_err();
    assert_eq!(error_type(&error), "Runtime.ExitError");
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("exit status: 3"));
    assert_eq!(service.invoke_json(NAME, &echo("again")).await.unwrap(), "again");
    let counters = service.counters(NAME).unwrap();
    assert_eq!((counters.crashes, counters.starts, counters.answered), (1, 2, 1));
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_ended_at_its_deadline() {
    // More than an answer takes on any machine.
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
async fn a_program_that_never_asks_for_an_event_is_ended_when_its_start_takes_too_long() {
    let init_timeout = Duration::from_millis(200);
    let service = Service::new(ServiceConfig { init_timeout, ..ServiceConfig::default() });
    let environment = vec![("IDLE_AT_START".into(), "1".into())];
    service.register(FunctionConfig { environment, ..function() });
    let error = service.invoke_json(NAME, &echo(1)).await.unwrap_err();
    assert_eq!(error_type(&error), "Sandbox.Timedout");
}

#[tokio::test]
async fn invocations_at_once_have_an_environment_each_and_more_than_the_concurrency_are_refused() {
    let service = service_with(FunctionConfig { concurrency: 2, ..function() });
    let sleep = json!({ "sleep": 500 });
    let answers = join_all((0..4).map(|_| service.invoke_json(NAME, &sleep))).await;
    let refused = |answer: &&Result<Value, InvokeError>| matches!(answer, Err(InvokeError::Throttled { .. }));
    assert_eq!(answers.iter().filter(refused).count(), 2);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
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
async fn what_a_function_writes_is_kept_as_it_is() {
    let service = service();
    let line = r#"{"level":"WARN","message":"a"}"#;
    service.invoke_json(NAME, &json!({ "print": line })).await.unwrap();
    // The pipe is read beside the invocation.
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

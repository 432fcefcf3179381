//! A Lambda function that does what its event requests, for tests of the emulated Lambda service. It uses the real runtime
//! crate, as the product's functions do.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
/// What an event requests.
enum Action {
    /// Responds with this value.
    Echo(Value),
    /// Responds with the invocation's context and the environment.
    Context,
    /// Responds with an error.
    Fail(String),
    /// Exits with this status.
    Exit(i32),
    /// Sleeps for this many milliseconds.
    Sleep(u64),
    /// Appends a line to a file: an effect that outlives the process. Responds with the process id.
    Append { file: String, line: String },
    /// Prints a line to standard output.
    Print(String),
    /// Responds with this many bytes.
    Large(usize),
    /// Starts a child process that would outlive this one. Responds with its process id.
    Spawn,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if let Ok(reason) = std::env::var("FAIL_AT_START") {
        return Err(reason.into());
    }
    if std::env::var_os("IDLE_AT_START").is_some() {
        std::future::pending::<()>().await;
    }
    lambda_runtime::run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Action>) -> Result<Value, Error> {
    let (action, context) = event.into_parts();
    match action {
        Action::Echo(value) => Ok(value),
        Action::Context => {
            let environment: BTreeMap<String, String> = std::env::vars().collect();
            Ok(json!({
                "requestId": context.request_id,
                "deadline": context.deadline,
                "arn": context.invoked_function_arn,
                "traceId": context.xray_trace_id,
                "environment": environment,
            }))
        }
        Action::Fail(message) => Err(message.into()),
        Action::Exit(code) => std::process::exit(code),
        Action::Sleep(millis) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(Value::Null)
        }
        Action::Append { file, line } => {
            writeln!(OpenOptions::new().create(true).append(true).open(file)?, "{line}")?;
            Ok(std::process::id().into())
        }
        Action::Print(line) => {
            println!("{line}");
            Ok(Value::Null)
        }
        Action::Large(bytes) => Ok("a".repeat(bytes).into()),
        Action::Spawn => Ok(std::process::Command::new("sleep").arg("1000").spawn()?.id().into()),
    }
}

//! A Lambda function that does what its event says, for the tests of the emulated Lambda service. It stands on the real
//! runtime crate, as the product's functions do.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Deed {
    /// Answers with this.
    Echo(Value),
    /// Answers with what it was told about itself.
    Context,
    /// Answers with an error.
    Fail(String),
    /// Ends its process.
    Exit(i32),
    /// Takes so many milliseconds.
    Sleep(u64),
    /// Appends a line to a file: an effect that outlives the process. Answers with the process's number.
    Append { file: String, line: String },
    /// Writes a line.
    Print(String),
    /// Answers with so many bytes.
    Large(usize),
    /// Starts a process that would outlive this one. Answers with its number.
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
    lambda_runtime::run(service_fn(act)).await
}

async fn act(event: LambdaEvent<Deed>) -> Result<Value, Error> {
    let (deed, context) = event.into_parts();
    match deed {
        Deed::Echo(value) => Ok(value),
        Deed::Context => {
            let environment: BTreeMap<String, String> = std::env::vars().collect();
            Ok(json!({
                "requestId": context.request_id,
                "deadline": context.deadline,
                "arn": context.invoked_function_arn,
                "traceId": context.xray_trace_id,
                "environment": environment,
            }))
        }
        Deed::Fail(message) => Err(message.into()),
        Deed::Exit(code) => std::process::exit(code),
        Deed::Sleep(millis) => {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            Ok(Value::Null)
        }
        Deed::Append { file, line } => {
            writeln!(OpenOptions::new().create(true).append(true).open(file)?, "{line}")?;
            Ok(std::process::id().into())
        }
        Deed::Print(line) => {
            println!("{line}");
            Ok(Value::Null)
        }
        Deed::Large(bytes) => Ok("a".repeat(bytes).into()),
        Deed::Spawn => Ok(std::process::Command::new("sleep").arg("1000").spawn()?.id().into()),
    }
}

//! Tests of the Lambda service with a function that uses the real runtime crate (`src/bin/scripted-function.rs`).

mod asynchronous;
mod faults;
mod invocations;
mod processes;

use std::time::Duration;

use serde_json::{Value, json};
use streamio_emulator::lambda::{FunctionConfig, Service, ServiceConfig};

const NAME: &str = "scripted";

fn function() -> FunctionConfig {
    FunctionConfig {
        timeout: Duration::from_secs(20),
        ..FunctionConfig::new(NAME, env!("CARGO_BIN_EXE_scripted-function"))
    }
}

/// Returns a service with the function.
fn service() -> Service {
    service_with(function())
}

fn service_with(function: FunctionConfig) -> Service {
    let service = Service::new(ServiceConfig::default());
    service.register(function);
    service
}

/// Returns an event for which the function responds with `value`.
fn echo(value: impl Into<Value>) -> Value {
    json!({ "echo": value.into() })
}

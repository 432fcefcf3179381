//! The service with a function that stands on the real runtime crate (`examples/scripted-function.rs`).

mod asynchronous;
mod faults;
mod invocations;
mod processes;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{FunctionConfig, Service, ServiceConfig};

const NAME: &str = "scripted";

/// The example, which `cargo test` builds beside the tests.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/scripted-function");
    assert!(
        program.is_file(),
        "{} is not built: `cargo build -p streamio-cloud --all-features --example scripted-function`",
        program.display()
    );
    program
}

fn function() -> FunctionConfig {
    FunctionConfig { timeout: Duration::from_secs(20), ..FunctionConfig::new(NAME, program()) }
}

/// A service with the function.
fn service() -> Service {
    service_with(function())
}

fn service_with(function: FunctionConfig) -> Service {
    let service = Service::new(ServiceConfig::default());
    service.register(function);
    service
}

/// An event that lets the function answer with `value`.
fn echo(value: impl Into<Value>) -> Value {
    json!({ "echo": value.into() })
}

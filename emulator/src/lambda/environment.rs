//! An execution environment: a process of a function, and the Runtime API that it calls.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::{sleep_until, timeout};

use super::configuration::{FunctionConfig, ServiceConfig};
use super::fault::Fault;
use super::invoke::FunctionError;
use super::logs::Logs;
use super::program::Program;
use super::runtime_api::{Invocation, RuntimeApi, RuntimeEvent};
use crate::request_id::{random_hex, request_id};

/// A process that has requested its first event. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Environment {
    program: Program,
    api: RuntimeApi,
    /// When the process was started.
    pub(super) started: Instant,
    /// When the latest invocation ended.
    pub(super) used: Option<Instant>,
}

/// The result of an invocation.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The function responded. The environment may be reused.
    Responded(Result<Bytes, FunctionError>),
    /// The environment has ended.
    Crashed(FunctionError),
    /// The invocation timed out, and the environment was killed.
    TimedOut(FunctionError),
    /// The environment ended before it received the event.
    NotReceived,
}

impl Environment {
    /// Starts the process and waits until it requests an event.
    pub(super) async fn start(
        function: &FunctionConfig,
        service: &ServiceConfig,
        logs: &Logs,
    ) -> Result<Self, FunctionError> {
        let start_error = |error: std::io::Error| {
            let program = function.program.display();
            FunctionError::new(
                "Runtime.InvalidEntrypoint",
                format!("{program} could not be started: {error}"),
            )
        };
        if !function.program.is_file() {
            return Err(start_error(std::io::ErrorKind::NotFound.into()));
        }
        let api = RuntimeApi::start().await.map_err(start_error)?;
        let variables = variables(function, service, &api.address.to_string());
        let variables = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let started = Instant::now();
        let (program, stdout, stderr) = Program::start(&function.program, variables).map_err(start_error)?;
        logs.relay(stdout);
        logs.relay(stderr);
        let mut environment = Self { program, api, started, used: None };
        match timeout(service.init_timeout, environment.wait_until_ready()).await {
            Ok(Ok(())) => Ok(environment),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(FunctionError::new(
                "Sandbox.Timedout",
                format!("the start took longer than {:.2} seconds", service.init_timeout.as_secs_f64()),
            )),
        }
    }

    async fn wait_until_ready(&mut self) -> Result<(), FunctionError> {
        loop {
            tokio::select! {
                biased;
                event = self.api.next_event() => match event {
                    RuntimeEvent::Polled => return Ok(()),
                    RuntimeEvent::InitFailed(error) => return Err(error),
                    RuntimeEvent::Received(_) | RuntimeEvent::Completed(..) => {}
                },
                ended = self.program.ended() => return Err(exit_error(&ended)),
            }
        }
    }

    /// Whether its process has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.program.has_ended()
    }

    /// Sends an event to the function and waits for the result.
    pub(super) async fn invoke(
        &mut self,
        function: &FunctionConfig,
        service: &ServiceConfig,
        payload: Bytes,
        fault: Option<Fault>,
    ) -> Outcome {
        if fault == Some(Fault::CrashBeforeWork) {
            return self.crash().await;
        }
        let request = request_id();
        let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        self.api.send(Invocation {
            request_id: request.clone(),
            payload,
            function_arn: service.function_arn(&function.name),
            trace_id: format!(
                "Root=1-{:08x}-{};Parent={};Sampled=0",
                seconds.as_secs(),
                random_hex::<12>(),
                random_hex::<8>()
            ),
            timeout: function.timeout,
            withhold_response: fault == Some(Fault::CrashBeforeResponse),
        });
        let mut deadline = tokio::time::Instant::now() + function.timeout;
        let mut is_received = false;
        loop {
            tokio::select! {
                biased;
                event = self.api.next_event() => match event {
                    RuntimeEvent::Received(id) if id == request => {
                        is_received = true;
                        deadline = tokio::time::Instant::now() + function.timeout;
                    }
                    RuntimeEvent::Completed(id, outcome) if id == request => {
                        if fault == Some(Fault::CrashBeforeResponse) {
                            return self.crash().await;
                        }
                        self.used = Some(Instant::now());
                        return Outcome::Responded(outcome);
                    }
                    RuntimeEvent::Polled | RuntimeEvent::Received(_) | RuntimeEvent::Completed(..) | RuntimeEvent::InitFailed(_) => {}
                },
                ended = self.program.ended() => {
                    return if is_received { Outcome::Crashed(exit_error(&ended)) } else { Outcome::NotReceived };
                }
                () = sleep_until(deadline) => {
                    self.program.kill();
                    let text = format!("Task timed out after {:.2} seconds", function.timeout.as_secs_f64());
                    return Outcome::TimedOut(FunctionError::new("Sandbox.Timedout", text));
                }
            }
        }
    }

    async fn crash(&mut self) -> Outcome {
        self.program.kill();
        Outcome::Crashed(exit_error(&self.program.ended().await))
    }

    /// Returns the time since its last invocation ended.
    pub(super) fn idle_time(&self) -> Duration {
        self.used.map_or(Duration::ZERO, |used| used.elapsed())
    }
}

fn exit_error(ended: &std::io::Result<std::process::ExitStatus>) -> FunctionError {
    let status = match ended {
        Ok(exit) => exit.to_string(),
        Err(error) => error.to_string(),
    };
    FunctionError::new("Runtime.ExitError", format!("Runtime exited with error: {status}"))
}

/// Returns the environment variables of a process. The function's variables are last, so that they override the others.
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>
fn variables(function: &FunctionConfig, service: &ServiceConfig, api: &str) -> Vec<(String, String)> {
    let day = crate::wall_clock::now().to_string()[..10].replace('-', "/");
    let root = function.program.parent().unwrap_or(Path::new("/")).to_string_lossy().into_owned();
    let reserved: [(&str, String); 20] = [
        ("AWS_LAMBDA_RUNTIME_API", api.to_owned()),
        ("_HANDLER", "bootstrap".to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", function.name.clone()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", function.memory_mb.to_string()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", function.name)),
        ("AWS_LAMBDA_LOG_STREAM_NAME", format!("{day}/[$LATEST]{}", random_hex::<16>())),
        ("AWS_REGION", service.region.clone()),
        ("AWS_DEFAULT_REGION", service.region.clone()),
        ("AWS_ACCESS_KEY_ID", service.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", service.secret_access_key.clone()),
        // The SDK must not request credentials from the metadata service of the machine that runs the emulator.
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023".to_owned()),
        ("LAMBDA_TASK_ROOT", root.clone()),
        ("LAMBDA_RUNTIME_DIR", root),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("RUST_BACKTRACE", "1".to_owned()),
    ];
    let reserved = reserved.into_iter().map(|(name, value)| (name.to_owned(), value));
    reserved.chain(function.environment.iter().cloned()).collect()
}

//! One execution environment: a process of a function and the Runtime API that it talks to.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::{sleep_until, timeout};

use super::configuration::{FunctionConfig, ServiceConfig};
use super::fault::Fault;
use super::invoke::FunctionError;
use super::logs::Logs;
use super::program::Program;
use super::runtime_api::{Handover, RuntimeApi, Said};
use crate::request_id::{random_hex, request_id};

/// A process that has asked for its first event. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Environment {
    program: Program,
    api: RuntimeApi,
    /// When its process was started.
    pub(super) started: Instant,
    /// When its latest invocation ended.
    pub(super) used: Option<Instant>,
}

/// How an invocation ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The function said how; the environment may be used again.
    Said(Result<Bytes, FunctionError>),
    /// The environment has ended.
    Crashed(FunctionError),
    /// It was ended, because it took too long.
    TimedOut(FunctionError),
    /// The environment ended before it took the event.
    NotTaken,
}

impl Environment {
    /// Starts the process and waits until it asks for an event.
    pub(super) async fn start(
        function: &FunctionConfig,
        service: &ServiceConfig,
        logs: &Logs,
    ) -> Result<Self, FunctionError> {
        let cannot = |error: std::io::Error| {
            let program = function.program.display();
            FunctionError::new(
                "Runtime.InvalidEntrypoint",
                format!("{program} could not be started: {error}"),
            )
        };
        if !function.program.is_file() {
            return Err(cannot(std::io::ErrorKind::NotFound.into()));
        }
        let api = RuntimeApi::start().await.map_err(cannot)?;
        let variables = variables(function, service, &api.address.to_string());
        let variables = variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let started = Instant::now();
        let (program, stdout, stderr) = Program::start(&function.program, variables).map_err(cannot)?;
        logs.relay(stdout);
        logs.relay(stderr);
        let mut environment = Self { program, api, started, used: None };
        match timeout(service.init_timeout, environment.ready()).await {
            Ok(Ok(())) => Ok(environment),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(FunctionError::new(
                "Sandbox.Timedout",
                format!("the start took longer than {:.2} seconds", service.init_timeout.as_secs_f64()),
            )),
        }
    }

    async fn ready(&mut self) -> Result<(), FunctionError> {
        loop {
            tokio::select! {
                biased;
                said = self.api.heard() => match said {
                    Said::Polled => return Ok(()),
                    Said::InitFailed(error) => return Err(error),
                    Said::Took(_) | Said::Ended(..) => {}
                },
                ended = self.program.ended() => return Err(exit_error(&ended)),
            }
        }
    }

    /// Whether its process is gone.
    pub(super) fn has_ended(&mut self) -> bool {
        self.program.has_ended()
    }

    /// Lets the function work on one event.
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
        self.api.hand_over(Handover {
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
            keeps_silent: fault == Some(Fault::CrashBeforeAnswer),
        });
        let mut deadline = tokio::time::Instant::now() + function.timeout;
        let mut is_taken = false;
        loop {
            tokio::select! {
                biased;
                said = self.api.heard() => match said {
                    Said::Took(id) if id == request => {
                        is_taken = true;
                        deadline = tokio::time::Instant::now() + function.timeout;
                    }
                    Said::Ended(id, outcome) if id == request => {
                        if fault == Some(Fault::CrashBeforeAnswer) {
                            return self.crash().await;
                        }
                        self.used = Some(Instant::now());
                        return Outcome::Said(outcome);
                    }
                    Said::Polled | Said::Took(_) | Said::Ended(..) | Said::InitFailed(_) => {}
                },
                ended = self.program.ended() => {
                    return if is_taken { Outcome::Crashed(exit_error(&ended)) } else { Outcome::NotTaken };
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

    /// How long it has waited for an event.
    pub(super) fn idle_time(&self) -> Duration {
        self.used.map_or(Duration::ZERO, |used| used.elapsed())
    }
}

fn exit_error(ended: &std::io::Result<std::process::ExitStatus>) -> FunctionError {
    let how = match ended {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    FunctionError::new("Runtime.ExitError", format!("Runtime exited with error: {how}"))
}

/// What a process is told, the function's own last.
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
        // A program must not look for credentials on the network of a machine that is no cloud.
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

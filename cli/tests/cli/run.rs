//! Runs the program.

use std::path::Path;
use std::process::{Output, Stdio};

use streamio_events::api_key::ApiKey;
use tokio::process::{Child, Command};

use crate::fake_server::FakeServer;

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
        }
    }
}

impl Run {
    /// Standard output as one JSON value.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The error object, which is the last line of standard error.
    pub(crate) fn error(&self) -> serde_json::Value {
        let line = self.stderr.lines().last().unwrap_or_default();
        let object: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {self:?}"));
        object["error"].clone()
    }

    /// Returns the run if its exit code is 0.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Exit code and output, for a snapshot.
    pub(crate) fn transcript(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code.unwrap_or(-1), self.stdout, self.stderr)
    }
}

/// The key that all tests use.
pub(crate) fn api_key() -> ApiKey {
    ApiKey::generate("test", [7; 32]).expect("the environment name is valid")
}

/// The program with `arguments` and a minimal environment.
pub(crate) fn streamio(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamio"));
    command.args(arguments).env_clear().env("COLUMNS", "100").stdin(Stdio::null()).kill_on_drop(true);
    // LLVM_PROFILE_FILE is needed to measure coverage.
    for name in ["PATH", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// The program as a client of `server`, with its upload state in `state`.
pub(crate) fn client(server: &FakeServer, state: &Path, arguments: &[&str]) -> Command {
    let mut command = streamio(arguments);
    command
        .env("STREAMIO_URL", server.url())
        .env("STREAMIO_API_KEY", api_key().reveal())
        .env("STREAMIO_STATE_DIR", state);
    command
}

/// Runs `command` to its end.
pub(crate) async fn run(mut command: Command) -> Run {
    command.output().await.expect("the program can be started").into()
}

/// Starts `command` with its output captured.
pub(crate) fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program can be started")
}

/// Waits for a process from [`start`] to end.
pub(crate) async fn finish(child: Child) -> Run {
    child.wait_with_output().await.expect("the program can be waited for").into()
}

/// `text` with `replacements` applied and durations replaced by `N`, for a snapshot.
pub(crate) fn normalized(text: &str, replacements: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (from, to) in replacements {
        text = text.replace(from, to);
    }
    text.split_inclusive(' ')
        .scan(false, |after_in, word| {
            let trimmed = word.trim_end_matches([' ', '\n']);
            let is_number = *after_in && trimmed.parse::<f64>().is_ok();
            *after_in = trimmed == "in";
            Some(if is_number { word.replace(trimmed, "N") } else { word.to_owned() })
        })
        .collect()
}

/// Runs the program on the data directory `data`.
pub(crate) async fn run_on(data: &Path, arguments: &[&str]) -> Run {
    let mut command = streamio(arguments);
    command.env("STREAMIO_DATA", data);
    run(command).await
}

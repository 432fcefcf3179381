//! The log of the platform and of its workers, on standard error.

use std::io;

use clap::ValueEnum;
use streamio_events::masked::without_api_keys;
use streamio_events::settings::present;
use tracing_subscriber::EnvFilter;

use crate::exit::{Exit, Failure};
use crate::output::is_terminal;

/// What is logged with `--quiet`.
const QUIET: &str = "error";

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Plain text.
    Text,
    /// One JSON object per line.
    Json,
}

/// Writes to another writer what is written to it, a line at a time, without the API keys in it.
struct WithoutApiKeys<W>(W);

impl<W: io::Write> io::Write for WithoutApiKeys<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) => self.0.write_all(without_api_keys(text).as_bytes())?,
            Err(_) => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Starts the log. With `quiet` it has errors only, whatever `RUST_LOG` says.
pub(crate) fn start(format: LogFormat, quiet: bool) -> Result<(), Failure> {
    let filter = filter(std::env::var("RUST_LOG").ok(), quiet)?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| WithoutApiKeys(io::stderr()));
    let outcome = match format {
        LogFormat::Text => builder.with_ansi(is_terminal()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    outcome.map_err(|error| Failure::new(Exit::Failed, format!("cannot start logging: {error}"), ""))
}

/// Starts the log of a worker in this process with errors only, in the format that the platform has chosen for its workers. A
/// worker uses a log that exists instead of starting its own.
pub(crate) fn start_quiet_worker() -> Result<(), Failure> {
    let is_text = std::env::var("STREAMIO_LOG_FORMAT").is_ok_and(|format| format == "text");
    start(if is_text { LogFormat::Text } else { LogFormat::Json }, true)
}

/// Returns the filter of log lines that the variable `RUST_LOG` describes; errors only if `quiet`.
fn filter(variable: Option<String>, quiet: bool) -> Result<EnvFilter, Failure> {
    if quiet {
        return Ok(EnvFilter::new(QUIET));
    }
    let directives = variable.and_then(present);
    EnvFilter::try_new(directives.as_deref().unwrap_or("info,s3s=warn,aws_config=warn"))
        .map_err(|error| Failure::usage(format!("RUST_LOG is invalid: {error}"), "see `streamio up --help`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_has_an_api_key() {
        let mut written = Vec::new();
        let mut writer = WithoutApiKeys(&mut written);
        io::Write::write_all(&mut writer, "a path: /videos/sio_live_abc_d\n".as_bytes()).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "a path: /videos/sio_…\n");
    }

    #[test]
    fn a_blank_filter_selects_the_default() {
        let filter =
            |variable: Option<&str>| filter(variable.map(str::to_owned), false).map(|it| it.to_string());
        let default = filter(None).unwrap();
        for blank in ["", " \t"] {
            assert_eq!(filter(Some(blank)).unwrap(), default);
        }
        assert_ne!(filter(Some("debug")).unwrap(), default);
        assert!(filter(Some("streamio=loud")).is_err());
    }

    #[test]
    fn quiet_takes_precedence_over_the_environment() {
        for variable in [None, Some("debug"), Some("streamio=loud")] {
            let filter = filter(variable.map(str::to_owned), true).unwrap();
            assert_eq!(filter.to_string(), "error");
        }
    }
}

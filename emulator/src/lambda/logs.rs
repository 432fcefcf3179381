//! The output of functions, copied to this process's log.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// The number of latest lines that are kept.
const KEPT: usize = 1_000;

/// The output lines of all environments of a function.
#[derive(Debug, Clone)]
pub(super) struct Logs {
    function: Arc<str>,
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Logs {
    pub(super) fn new(function: &str) -> Self {
        Self { function: function.into(), lines: Arc::default() }
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Reads a pipe to its end, in a background task.
    pub(super) fn relay(&self, pipe: impl AsyncRead + Unpin + Send + 'static) {
        let logs = self.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            // A read error is handled as the end of the pipe.
            while reader.read_until(b'\n', &mut line).await.is_ok_and(|bytes| bytes > 0) {
                logs.add(String::from_utf8_lossy(line.trim_ascii_end()).into_owned());
                line.clear();
            }
        });
    }

    fn add(&self, line: String) {
        let name = &*self.function;
        match level(&line).as_deref() {
            Some("ERROR") => tracing::error!(function.name = name, "{line}"),
            Some("WARN") => tracing::warn!(function.name = name, "{line}"),
            Some("DEBUG" | "TRACE") => tracing::debug!(function.name = name, "{line}"),
            _ => tracing::info!(function.name = name, "{line}"),
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// Returns the log level of a line of JSON.
fn level(line: &str) -> Option<String> {
    let record: Value = serde_json::from_str(line).ok()?;
    record.get("level")?.as_str().map(str::to_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_read_from_json_and_other_lines_have_none() {
        assert_eq!(level(r#"{"level":"warn","message":"a"}"#).as_deref(), Some("WARN"));
        assert_eq!(level(r#"{"message":"a"}"#), None);
        assert_eq!(level("warn: a"), None);
    }

    #[test]
    fn only_the_latest_lines_are_kept() {
        let logs = Logs::new("a");
        for number in 0..=KEPT {
            logs.add(number.to_string());
        }
        let lines = logs.lines();
        assert_eq!((lines.len(), lines[0].as_str()), (KEPT, "1"));
    }
}

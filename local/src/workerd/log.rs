//! The Worker's log lines as lines of the platform's log, with the same fields that a native edge writes.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A line of the Worker (edge/src/worker/log.rs), or of `run.mjs`, which adds the level.
#[derive(Deserialize)]
struct Line {
    level: String,
    message: String,
    #[serde(rename = "http.method")]
    method: Option<String>,
    #[serde(rename = "http.path")]
    path: Option<String>,
    #[serde(rename = "http.status")]
    status: Option<u16>,
    duration_ms: Option<f64>,
    #[serde(rename = "request.id")]
    request_id: Option<String>,
    #[serde(rename = "project.id")]
    project_id: Option<String>,
    error: Option<Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

macro_rules! tell {
    ($level:ident, $line:expr) => {{
        let line = $line;
        let others = (!line.others.is_empty()).then(|| Value::Object(line.others.clone()));
        tracing::$level!(
            http.method = line.method,
            http.path = line.path,
            http.status = line.status,
            duration_ms = line.duration_ms,
            request.id = line.request_id,
            project.id = line.project_id,
            error = line.error.as_ref().map(tracing::field::display),
            others = others.as_ref().map(tracing::field::display),
            "{}",
            line.message
        );
    }};
}

/// Logs the line. Answers its message when it is an error.
pub(super) fn relay(line: &str) -> Option<String> {
    let Ok(line) = serde_json::from_str::<Line>(line) else {
        // Node's own words, such as of an exception.
        tracing::warn!("workerd: {line}");
        return None;
    };
    match line.level.as_str() {
        "debug" => tell!(debug, &line),
        "warn" => tell!(warn, &line),
        "error" => {
            tell!(error, &line);
            return Some(line.message);
        }
        _ => tell!(info, &line),
    }
    None
}

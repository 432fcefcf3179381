//! Forwards the Worker's log lines to the platform's log, with the fields that the native edge uses.

use serde::Deserialize;
use serde_json::{Map, Value};

/// A log line of the Worker (edge/src/worker/log.rs), to which `run.mjs` adds the level, or of `run.mjs` itself.
#[derive(Deserialize)]
struct Line {
    level: String,
    message: String,
    #[serde(rename = "http.method")]
    method: Option<String>,
    #[serde(rename = "http.route")]
    route: Option<String>,
    #[serde(rename = "http.status")]
    status: Option<u16>,
    duration_ms: Option<f64>,
    #[serde(rename = "request.id")]
    request_id: Option<String>,
    #[serde(rename = "project.id")]
    project_id: Option<String>,
    #[serde(rename = "video.id")]
    video_id: Option<String>,
    error: Option<Value>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

macro_rules! log_at {
    ($level:ident, $line:expr) => {{
        let line = $line;
        let others = (!line.others.is_empty()).then(|| Value::Object(line.others.clone()));
        tracing::$level!(
            http.method = line.method,
            http.route = line.route,
            http.status = line.status,
            duration_ms = line.duration_ms,
            request.id = line.request_id,
            project.id = line.project_id,
            video.id = line.video_id,
            error = line.error.as_ref().map(error_text),
            others = others.as_ref().map(tracing::field::display),
            "{}",
            line.message
        );
    }};
}

/// The messages of an error and of its causes in one line, as the native edge logs them.
fn error_text(error: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match error {
        Value::Array(messages) => messages.iter().map(text).collect::<Vec<_>>().join(": "),
        other => text(other),
    }
}

/// Logs `line` at its level. Returns its message if it is an error.
pub(super) fn forward(line: &str) -> Option<String> {
    let Ok(line) = serde_json::from_str::<Line>(line) else {
        // Text of Node.js, such as an exception.
        tracing::warn!("workerd: {line}");
        return None;
    };
    match line.level.as_str() {
        "debug" => log_at!(debug, &line),
        "warn" => log_at!(warn, &line),
        "error" => {
            log_at!(error, &line);
            return Some(line.message);
        }
        _ => log_at!(info, &line),
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::error_text;

    #[test]
    fn an_error_and_its_causes_are_one_line_of_text() {
        assert_eq!(error_text(&json!(["the queue failed", "no answer"])), "the queue failed: no answer");
        assert_eq!(error_text(&json!("no answer")), "no answer");
        assert_eq!(error_text(&json!({"code": 1})), r#"{"code":1}"#);
    }
}

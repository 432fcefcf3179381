//! Log lines: one JSON object each, with a sentence (`message`) and dotted fields. Never a key, a token, or a URL with its
//! query.

use std::error::Error;

use http::{Method, Response};
use serde_json::{Map, Value};
use streamio_events::error_chain::messages;
use streamio_events::masked::without_api_keys;
use worker::{console_error, console_log, console_warn};

use crate::edge::Served;
use crate::settings::LogMode;

/// Logs a request, if `mode` asks for it or the request failed: its call, not its path or query, which may hold a caller's values.
/// `started_at` is the runtime's time at the start, in milliseconds.
pub(super) fn served<B>(mode: LogMode, method: &Method, response: &Response<B>, started_at: f64) {
    let Some(served) = response.extensions().get::<Served>() else { return };
    if mode == LogMode::Requests || served.cause.is_some() {
        write_served(served, method, response.status().as_u16(), started_at);
    }
}

/// A function of its own, so that the first request of most isolates need not wait until it is compiled.
#[inline(never)]
fn write_served(served: &Served, method: &Method, status: u16, started_at: f64) {
    let failed = served.cause.is_some();
    let mut line = line(if failed { "request failed" } else { "request served" });
    line.insert("http.method".to_owned(), method.as_str().into());
    if let Some(call) = served.call {
        line.insert("http.route".to_owned(), call.path.into());
    }
    line.insert("http.status".to_owned(), status.into());
    line.insert("duration_ms".to_owned(), (js_sys::Date::now() - started_at).into());
    line.insert("request.id".to_owned(), served.request_id.as_str().into());
    if let Some(project_id) = &served.project_id {
        line.insert("project.id".to_owned(), project_id.as_str().into());
    }
    if let Some(video_id) = &served.video_id {
        line.insert("video.id".to_owned(), video_id.as_str().into());
    }
    if let Some(cause) = &served.cause {
        line.insert("error".to_owned(), chain(&**cause));
    }
    write(if failed { "error" } else { "log" }, line);
}

/// Logs the failure of something outside of the Worker that the work continued without.
pub(super) fn failed(message: &str, error: &(dyn Error + 'static)) {
    let mut line = line(message);
    line.insert("error".to_owned(), chain(error));
    write("error", line);
}

/// Logs `message` with `fields`. `level` is `log`, `warn` or `error`.
pub(super) fn event(level: &str, message: &str, fields: &[(&str, Value)]) {
    let mut line = line(message);
    line.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    write(level, line);
}

/// Logs the names and reasons of [`crate::settings::InvalidSettings::problems`], and the id of the request that failed because of
/// them.
pub(super) fn misconfigured(problems: &[(&'static str, String)], request_id: Option<&str>) {
    let mut line = line("the Worker's settings are invalid");
    line.insert(
        "error".to_owned(),
        problems.iter().map(|(name, reason)| format!("{name} {reason}")).collect(),
    );
    if let Some(request_id) = request_id {
        line.insert("request.id".to_owned(), request_id.into());
    }
    write("error", line);
}

/// Logs a panic at `place`.
pub(super) fn panicked(place: &str, text: &str) {
    let mut line = line("the Wasm instance has ended with a panic; the next request gets a new one");
    line.insert("panic.place".to_owned(), place.into());
    line.insert("panic.message".to_owned(), text.into());
    write("error", line);
}

fn line(message: &str) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("message".to_owned(), message.into());
    line
}

fn write(level: &str, line: Map<String, Value>) {
    let line = Value::Object(line).to_string();
    let line = without_api_keys(&line);
    match level {
        "error" => console_error!("{line}"),
        "warn" => console_warn!("{line}"),
        _ => console_log!("{line}"),
    }
}

/// An error and its sources, the outermost first.
fn chain(error: &(dyn Error + 'static)) -> Value {
    messages(error).into()
}

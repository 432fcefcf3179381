//! Log lines: one JSON object each, a readable sentence (`message`) and dotted fields. Never a key, a token, or a URL
//! with its query.

use std::error::Error;

use http::{Method, Response};
use serde_json::{Map, Value};
use streamio_events::error_chain::messages;

use super::host;
use crate::edge::Served;
use crate::settings::LogMode;

/// Writes what is to be said of an exchange. `path` is without the query, whose values are the caller's; `begun` is the
/// host's time then, in milliseconds.
pub(super) fn served<B>(mode: LogMode, method: &Method, path: &str, response: &Response<B>, begun: f64) {
    let Some(served) = response.extensions().get::<Served>() else { return };
    if mode == LogMode::Requests || served.cause.is_some() {
        told(served, method, path, response.status().as_u16(), begun);
    }
}

/// Apart, so that the first request of most isolates need not wait for it to be compiled.
#[inline(never)]
fn told(served: &Served, method: &Method, path: &str, status: u16, begun: f64) {
    let failed = served.cause.is_some();
    let mut line = line(if failed { "request failed" } else { "request served" });
    line.insert("http.method".to_owned(), method.as_str().into());
    line.insert("http.path".to_owned(), path.into());
    line.insert("http.status".to_owned(), status.into());
    line.insert("duration_ms".to_owned(), (js_sys::Date::now() - begun).into());
    line.insert("request.id".to_owned(), served.request_id.as_str().into());
    if let Some(project_id) = &served.project_id {
        line.insert("project.id".to_owned(), project_id.as_str().into());
    }
    if let Some(cause) = &served.cause {
        line.insert("error".to_owned(), chain(&**cause));
    }
    write(if failed { "error" } else { "log" }, line);
}

/// Something outside did not do what it was asked, and the work went on without it.
pub(super) fn failed(message: &str, error: &(dyn Error + 'static)) {
    let mut line = line(message);
    line.insert("error".to_owned(), chain(error));
    write("error", line);
}

/// A remark for the operator with fields of its own.
pub(super) fn event(level: &str, message: &str, fields: &[(&str, Value)]) {
    let mut line = line(message);
    line.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    write(level, line);
}

/// Names and reasons of [`crate::settings::InvalidSettings::problems`], and the request that was refused for them.
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

pub(super) fn panicked(place: &str, said: &str) {
    let mut line = line("the Wasm instance has ended with a panic; the next request gets a new one");
    line.insert("panic.place".to_owned(), place.into());
    line.insert("panic.message".to_owned(), said.into());
    write("error", line);
}

fn line(message: &str) -> Map<String, Value> {
    let mut line = Map::new();
    line.insert("message".to_owned(), message.into());
    line
}

fn write(level: &str, line: Map<String, Value>) {
    host::log(level, &Value::Object(line).to_string());
}

/// An error and its sources, the outermost first.
fn chain(error: &(dyn Error + 'static)) -> Value {
    messages(error).into()
}

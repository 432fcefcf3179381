//! Payload format 2.0: converts requests to events, and results of functions to responses.
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads>

use std::net::SocketAddr;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE, USER_AGENT};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use streamio_events::timestamp::Timestamp;
use time::OffsetDateTime;
use time::macros::format_description;

use super::FunctionUrlConfig;
use crate::request_id::request_id;

/// Where and when a request was received.
pub(super) struct Received<'a> {
    pub(super) config: &'a FunctionUrlConfig,
    pub(super) address: SocketAddr,
    pub(super) peer: SocketAddr,
    pub(super) now: Timestamp,
}

/// Returns the event of a request whose signature is valid.
pub(super) fn event(head: &Parts, body: &[u8], received: &Received<'_>) -> Value {
    let Received { config, address, peer, now } = received;
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or_default();
    let user_agent = head.headers.get(USER_AGENT).map(text).unwrap_or_default();
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers(head),
        "requestContext": {
            "accountId": config.account_id,
            "apiId": config.function,
            "authentication": null,
            "authorizer": { "iam": {
                "accessKey": access_key(head),
                "accountId": config.account_id,
                "callerId": access_key(head),
                "cognitoIdentity": null,
                "principalOrgId": null,
                "userArn": format!("arn:aws:iam::{}:user/emulated", config.account_id),
                "userId": access_key(head),
            } },
            "domainName": address.to_string(),
            "domainPrefix": config.function,
            "http": {
                "method": head.method.as_str(),
                "path": path,
                "protocol": format!("{:?}", head.version),
                "sourceIp": peer.ip().to_string(),
                "userAgent": user_agent,
            },
            "requestId": request_id(),
            "routeKey": "$default",
            "stage": "$default",
            "time": common_log_time(*now),
            "timeEpoch": now.unix_millis(),
        },
        "isBase64Encoded": false,
    });
    let cookies =
        head.headers.get_all(COOKIE).iter().flat_map(|value| {
            text(value).split(';').map(|cookie| cookie.trim().to_owned()).collect::<Vec<_>>()
        });
    let cookies: Vec<String> = cookies.collect();
    if !cookies.is_empty() {
        event["cookies"] = cookies.into();
    }
    if !query.is_empty() {
        event["queryStringParameters"] = query_parameters(query);
    }
    if !body.is_empty() {
        let is_text = head.headers.get(CONTENT_TYPE).is_some_and(|value| is_text(&text(value)));
        match std::str::from_utf8(body) {
            Ok(body) if is_text => event["body"] = body.into(),
            _ => {
                event["body"] = STANDARD.encode(body).into();
                event["isBase64Encoded"] = true.into();
            }
        }
    }
    event
}

/// Returns the headers without cookies: names in lower case, several values of one name joined by commas.
fn headers(head: &Parts) -> Value {
    let mut headers = Map::new();
    for name in head.headers.keys().filter(|name| **name != COOKIE) {
        let values: Vec<String> = head.headers.get_all(name).iter().map(text).collect();
        headers.insert(name.as_str().to_owned(), values.join(",").into());
    }
    Value::Object(headers)
}

fn query_parameters(query: &str) -> Value {
    let mut parameters = Map::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match parameters.get_mut(&*name) {
            Some(Value::String(before)) => {
                before.push(',');
                before.push_str(&value);
            }
            _ => {
                parameters.insert(name.into_owned(), value.into_owned().into());
            }
        }
    }
    Value::Object(parameters)
}

/// Whether a body of this type is text in the event. Other bodies are in base64.
fn is_text(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&media_type.as_str())
        || media_type.ends_with("+json")
        || media_type.ends_with("+xml")
}

fn access_key(head: &Parts) -> String {
    let authorization = head.headers.get(AUTHORIZATION).map(text).unwrap_or_default();
    let credential = authorization.split("Credential=").nth(1).unwrap_or_default();
    credential.split('/').next().unwrap_or_default().to_owned()
}

fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Formats a time as in `12/Mar/2020:19:03:58 +0000`.
fn common_log_time(now: Timestamp) -> String {
    let format = format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");
    OffsetDateTime::from_unix_timestamp(now.unix_seconds())
        .ok()
        .and_then(|time| time.format(format).ok())
        .unwrap_or_default()
}

/// Returns the response for a function's result: the response that it describes if it has a `statusCode`, otherwise status
/// 200 with the result as JSON. The status is 502 if the result is invalid.
pub(super) fn response(result: &[u8]) -> Response {
    let invalid = || error_response(StatusCode::BAD_GATEWAY, "Internal Server Error");
    let Ok(value) = serde_json::from_slice::<Value>(result) else { return invalid() };
    let Some(status) = value.get("statusCode") else {
        // A string is the body itself; the body of any other value is its JSON.
        let body = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        return with_body(StatusCode::OK, "application/json", body.into_bytes());
    };
    described_response(&value, status).unwrap_or_else(invalid)
}

/// Returns the response that a result with a `statusCode` describes, or `None` if it is invalid.
fn described_response(value: &Value, status: &Value) -> Option<Response> {
    let status = status.as_u64().or_else(|| status.as_str()?.parse().ok())?;
    let status = StatusCode::from_u16(u16::try_from(status).ok()?).ok()?;
    let body = match value.get("body") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(body)) if value["isBase64Encoded"] == true => STANDARD.decode(body).ok()?,
        Some(Value::String(body)) => body.clone().into_bytes(),
        Some(other) => other.to_string().into_bytes(),
    };
    let mut response = with_body(status, "application/json", body);
    if let Some(headers) = value.get("headers").and_then(Value::as_object) {
        for (name, value) in headers {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let name = HeaderName::try_from(name.as_str()).ok()?;
            response.headers_mut().insert(name, HeaderValue::try_from(value).ok()?);
        }
    }
    for cookie in value.get("cookies").and_then(Value::as_array).into_iter().flatten() {
        response.headers_mut().append(SET_COOKIE, HeaderValue::try_from(cookie.as_str()?).ok()?);
    }
    Some(response)
}

/// Returns an error response of the service.
pub(super) fn error_response(status: StatusCode, message: &str) -> Response {
    with_body(status, "application/json", json!({ "Message": message }).to_string().into_bytes())
}

fn with_body(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(id) = HeaderValue::try_from(request_id()) {
        headers.insert(HeaderName::from_static("x-amzn-requestid"), id);
    }
    response
}

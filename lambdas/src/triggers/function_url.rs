//! Requests to a function URL, in payload format 2.0
//! (<https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads>). The service verifies their signatures
//! (`AWS_IAM`) before it invokes the function.

use aws_lambda_events::lambda_function_urls::{LambdaFunctionUrlRequest, LambdaFunctionUrlResponse};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;
use streamio_core::home_region::handle_call;
use streamio_events::home::{Home, HomeReply, MAX_CALL_BYTES, PATH, ReplyError};

use super::UnexpectedEvent;
use crate::runtime::metrics::Counts;

const EXPECTED: &str = "request to a function URL";

/// A parsed request.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// The body of a `POST` to [`PATH`].
    Call(Vec<u8>),
    /// Anything else, with the response.
    Refused(Reply),
}

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, JSON.
    pub json: String,
}

impl Reply {
    /// For the metrics: whether the home region served the request or failed.
    pub fn counts(&self) -> Counts {
        let failed = usize::from(self.status >= 500);
        Counts { handled: 1 - failed, failed, dead_lettered: 0 }
    }
}

/// Parses a request and does its call.
pub async fn handle_request(home: &dyn Home, event: Value) -> Result<Reply, UnexpectedEvent> {
    match parse_request(event)? {
        Request::Call(body) => {
            let (status, json) = handle_call(home, &body).await;
            Ok(Reply { status, json })
        }
        Request::Refused(reply) => Ok(reply),
    }
}

/// Parses a request.
pub fn parse_request(event: Value) -> Result<Request, UnexpectedEvent> {
    let unexpected = |found: String| UnexpectedEvent { expected: EXPECTED, found };
    let request: LambdaFunctionUrlRequest = serde_json::from_value(event).map_err(|_| {
        unexpected("it does not have payload format 2.0: a field is missing or of another type".to_owned())
    })?;
    if request.version.as_deref() != Some("2.0") {
        return Err(unexpected("its version is not 2.0".to_owned()));
    }
    let path = request.raw_path.as_deref().unwrap_or_default();
    if path != PATH {
        return Ok(refused(404, format!("there is no {path}, only {PATH}")));
    }
    if request.request_context.http.method.as_deref() != Some("POST") {
        return Ok(refused(405, "every request must be a POST".to_owned()));
    }
    let body = request.body.unwrap_or_default();
    let body = if request.is_base64_encoded {
        BASE64_STANDARD.decode(body).map_err(|_| unexpected("its body is not base64".to_owned()))?
    } else {
        body.into_bytes()
    };
    if body.len() > MAX_CALL_BYTES {
        return Ok(refused(413, format!("a request must have at most {MAX_CALL_BYTES} bytes")));
    }
    Ok(Request::Call(body))
}

fn refused(status: u16, text: String) -> Request {
    Request::Refused(Reply { status, json: HomeReply::Error(ReplyError::Refused { text }).to_json() })
}

/// The value that the service turns into an HTTP response.
pub fn response(reply: Reply) -> LambdaFunctionUrlResponse {
    let mut response = LambdaFunctionUrlResponse::default();
    response.status_code = reply.status.into();
    let mut header = |name: &'static str, value: &str| {
        response.headers.insert(name, value.parse().expect("it is ASCII without control characters"));
    };
    header("content-type", "application/json");
    if reply.status == 405 {
        header("allow", "POST");
    }
    response.body = Some(reply.json);
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use streamio_events::home::HomeCall;

    use super::*;

    fn example() -> Value {
        serde_json::from_str(include_str!("../../tests/payloads/function_url.json")).unwrap()
    }

    fn refusal(event: Value) -> Reply {
        match parse_request(event).unwrap() {
            Request::Refused(reply) => reply,
            Request::Call(_) => panic!("it was not refused"),
        }
    }

    #[test]
    fn a_call_is_the_body_of_a_post() {
        let Request::Call(body) = parse_request(example()).unwrap() else { panic!("it was refused") };
        let call: HomeCall = serde_json::from_slice(&body).unwrap();
        assert_eq!(call.name(), "listVideos");
        let mut encoded = example();
        encoded["body"] = json!(BASE64_STANDARD.encode(&body));
        encoded["isBase64Encoded"] = json!(true);
        assert_eq!(parse_request(encoded.clone()).unwrap(), Request::Call(body));
        encoded["body"] = json!("***");
        assert_eq!(
            parse_request(encoded).unwrap_err().to_string(),
            "the event is not of the expected kind (request to a function URL): its body is not base64"
        );
    }

    #[test]
    fn a_request_without_a_body_is_an_empty_call() {
        let mut event = example();
        event.as_object_mut().unwrap().remove("body");
        assert_eq!(parse_request(event).unwrap(), Request::Call(Vec::new()));
    }

    #[test]
    fn other_requests_are_refused_with_the_reason() {
        let mut event = example();
        event["rawPath"] = json!("/");
        let expected = r#"{"error":{"kind":"refused","text":"there is no /, only /home"}}"#;
        assert_eq!(refusal(event), Reply { status: 404, json: expected.to_owned() });
        let mut event = example();
        event["requestContext"]["http"]["method"] = json!("GET");
        assert_eq!(refusal(event).status, 405);
        let mut event = example();
        event["body"] = json!("x".repeat(MAX_CALL_BYTES + 1));
        assert_eq!(refusal(event).status, 413);
    }

    #[test]
    fn an_event_of_another_version_is_an_error() {
        let mut event = example();
        event["version"] = json!("1.0");
        assert_eq!(
            parse_request(event).unwrap_err().to_string(),
            "the event is not of the expected kind (request to a function URL): its version is not 2.0"
        );
        assert!(parse_request(json!({ "Records": [] })).is_err());
    }

    #[test]
    fn a_response_has_a_status_and_a_content_type() {
        let reply = Reply { status: 405, json: "{}".to_owned() };
        let expected = json!({
            "statusCode": 405,
            "headers": { "content-type": "application/json", "allow": "POST" },
            "body": "{}",
            "isBase64Encoded": false,
            "cookies": [],
        });
        assert_eq!(serde_json::to_value(response(reply)).unwrap(), expected);
    }
}

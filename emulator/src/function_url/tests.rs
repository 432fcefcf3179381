//! Tests of the listener with a scripted function, called with the edge's signer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use aws_lambda_events::event::lambda_function_urls::LambdaFunctionUrlRequest;
use bytes::Bytes;
use serde_json::{Value, json};
use streamio_edge::sign::sigv4::{Credentials, Payload, RequestParts, Signer};

use super::{FunctionUrl, FunctionUrlConfig};
use crate::lambda::{FunctionError, Invoke, InvokeError};
use crate::wall_clock;

/// Returns scripted results, and records its events.
#[derive(Default)]
struct ScriptedFunction {
    results: Mutex<VecDeque<Result<Bytes, InvokeError>>>,
    events: Mutex<Vec<Value>>,
}

#[async_trait]
impl Invoke for ScriptedFunction {
    async fn invoke(&self, _function: &str, payload: Bytes) -> Result<Bytes, InvokeError> {
        self.events.lock().unwrap().push(serde_json::from_slice(&payload).unwrap());
        self.results.lock().unwrap().pop_front().expect("there is a result for each call")
    }
}

/// A function URL with a scripted function.
struct TestFunctionUrl {
    url: FunctionUrl,
    function: Arc<ScriptedFunction>,
}

fn credentials() -> Credentials {
    Credentials::new("EDGE", "secret").unwrap()
}

async fn start(results: impl IntoIterator<Item = Result<Bytes, InvokeError>>) -> TestFunctionUrl {
    let function = Arc::new(ScriptedFunction {
        results: Mutex::new(results.into_iter().collect()),
        ..ScriptedFunction::default()
    });
    let config = FunctionUrlConfig {
        function: "api".into(),
        region: "us-east-1".into(),
        account_id: "123456789012".into(),
        credentials: vec![credentials()],
    };
    let url = FunctionUrl::start(config, Arc::clone(&function) as Arc<dyn Invoke>).await.unwrap();
    TestFunctionUrl { url, function }
}

/// Returns a request to `/home` that is signed for `service`.
fn signed(url: &str, service: &str, content_type: &str, body: &[u8]) -> reqwest::RequestBuilder {
    let edge = Signer::new(credentials(), "us-east-1", service).unwrap();
    let parts = RequestParts {
        method: &http::Method::POST,
        origin: url,
        path: "/home",
        query: &[],
        headers: &[("content-type".into(), content_type.into())],
    };
    let signed = edge.sign(&parts, Payload::Bytes(body), wall_clock::now().unix_seconds()).unwrap();
    let request = reqwest::Client::new().post(format!("{url}/home")).body(body.to_vec());
    request.header("content-type", content_type).header("cookie", "a=1; b=2").headers(signed.headers)
}

impl TestFunctionUrl {
    /// Sends a signed call, and returns the status, the content type and the body of the response.
    async fn call(&self) -> (u16, String, String) {
        let request = signed(&self.url.url(), "lambda", "application/json", b"{}");
        let response = request.send().await.unwrap();
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        (response.status().as_u16(), content_type, response.text().await.unwrap())
    }
}

#[tokio::test]
async fn the_function_receives_a_request_in_payload_format_2_0() {
    let test = start([Ok("{}".into()), Ok("{}".into())]).await;
    let url = test.url.url();
    for (content_type, body) in
        [("application/json; charset=utf-8", &b"{\"a\": 1}"[..]), ("application/octet-stream", &b"\xff"[..])]
    {
        let response = signed(&url, "lambda", content_type, body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.headers().contains_key("x-amzn-requestid"));
    }
    let events = test.function.events.lock().unwrap().clone();
    assert_eq!((&events[0]["body"], &events[0]["isBase64Encoded"]), (&json!("{\"a\": 1}"), &json!(false)));
    assert_eq!((&events[1]["body"], &events[1]["isBase64Encoded"]), (&json!("/w=="), &json!(true)));

    let typed: LambdaFunctionUrlRequest = serde_json::from_value(events[0].clone()).unwrap();
    assert_eq!(typed.raw_path.as_deref(), Some("/home"));
    assert_eq!(typed.cookies, Some(vec!["a=1".to_owned(), "b=2".to_owned()]));
    let authorizer = typed.request_context.authorizer.unwrap().iam.unwrap();
    assert_eq!(authorizer.access_key.as_deref(), Some("EDGE"));

    let mut event = events[0].clone();
    let host = event["headers"]["host"].as_str().unwrap().to_owned();
    assert_eq!(format!("http://{host}"), url);
    for (pointer, value) in [
        ("/headers/host", "host"),
        ("/headers/authorization", "signature"),
        ("/headers/x-amz-date", "now"),
        ("/requestContext/domainName", "host"),
        ("/requestContext/requestId", "id"),
        ("/requestContext/time", "now"),
        ("/requestContext/timeEpoch", "now"),
    ] {
        *event.pointer_mut(pointer).unwrap() = value.into();
    }
    insta::assert_snapshot!(serde_json::to_string_pretty(&event).unwrap(), @r#"
    {
      "body": "{\"a\": 1}",
      "cookies": [
        "a=1",
        "b=2"
      ],
      "headers": {
        "accept": "*/*",
        "authorization": "signature",
        "content-length": "8",
        "content-type": "application/json; charset=utf-8",
        "host": "host",
        "x-amz-date": "now"
      },
      "isBase64Encoded": false,
      "rawPath": "/home",
      "rawQueryString": "",
      "requestContext": {
        "accountId": "123456789012",
        "apiId": "api",
        "authentication": null,
        "authorizer": {
          "iam": {
            "accessKey": "EDGE",
            "accountId": "123456789012",
            "callerId": "EDGE",
            "cognitoIdentity": null,
            "principalOrgId": null,
            "userArn": "arn:aws:iam::123456789012:user/emulated",
            "userId": "EDGE"
          }
        },
        "domainName": "host",
        "domainPrefix": "api",
        "http": {
          "method": "POST",
          "path": "/home",
          "protocol": "HTTP/1.1",
          "sourceIp": "127.0.0.1",
          "userAgent": ""
        },
        "requestId": "id",
        "routeKey": "$default",
        "stage": "$default",
        "time": "now",
        "timeEpoch": "now"
      },
      "routeKey": "$default",
      "version": "2.0"
    }
    "#);
}

#[tokio::test]
async fn a_result_with_a_status_code_describes_the_response() {
    let stated = json!({
        "statusCode": 201,
        "headers": { "content-type": "text/plain", "x-note": "a" },
        "cookies": ["a=1", "b=2"],
        "body": "aGVsbG8=",
        "isBase64Encoded": true,
    });
    let test = start([Ok(stated.to_string().into())]).await;
    let request = signed(&test.url.url(), "lambda", "application/json", b"{}");
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(
        (&response.headers()["content-type"], &response.headers()["x-note"]),
        (&"text/plain".parse().unwrap(), &"a".parse().unwrap())
    );
    assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
    assert_eq!(response.text().await.unwrap(), "hello");
}

#[tokio::test]
async fn a_result_without_a_status_code_is_the_json_body_of_a_200() {
    let test = start([Ok(r#"{"ok": {"a": 1}}"#.into()), Ok(r#""text""#.into())]).await;
    assert_eq!(test.call().await, (200, "application/json".into(), r#"{"ok":{"a":1}}"#.into()));
    assert_eq!(test.call().await, (200, "application/json".into(), "text".into()));
}

#[tokio::test]
async fn failures_have_the_documented_status() {
    let test = start([
        Err(InvokeError::Function(FunctionError::new("a", "secret detail"))),
        Err(InvokeError::Throttled { function: "api".into() }),
        Err(InvokeError::TooLarge { bytes: 1 }),
        Err(InvokeError::Stopped),
        Ok("no json".into()),
        Ok(r#"{"statusCode": "abc"}"#.into()),
        Ok(r#"{"statusCode": 200, "headers": {"a": "line\nbreak"}}"#.into()),
    ])
    .await;
    for status in [502, 429, 413, 503, 502, 502, 502] {
        let (answered, _, body) = test.call().await;
        assert_eq!(answered, status, "{body}");
        assert!(!body.contains("secret"), "{body}");
    }
}

#[tokio::test]
async fn requests_that_are_not_signed_for_the_service_lambda_are_refused() {
    let test = start([]).await;
    let url = test.url.url();
    let unsigned = reqwest::Client::new().post(format!("{url}/home")).body("{}");
    let other_service = signed(&url, "kinesis", "application/json", b"{}");
    let other_body = signed(&url, "lambda", "application/json", b"{}").body("{\"a\":1}");
    for request in [unsigned, other_service, other_body] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 403);
        assert_eq!(response.text().await.unwrap(), r#"{"Message":"Forbidden"}"#);
    }
    assert_eq!(test.function.events.lock().unwrap().len(), 0);
}

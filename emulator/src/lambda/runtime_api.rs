//! The server of the Runtime API for one environment.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::JoinHandle;

use super::invoke::{FunctionError, MAX_PAYLOAD_BYTES};

/// An invocation to be sent to the function.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) request_id: String,
    pub(super) payload: Bytes,
    pub(super) function_arn: String,
    pub(super) trace_id: String,
    /// The timeout, counted from when the function receives the event.
    pub(super) timeout: Duration,
    /// Whether the function's request with its result gets no response.
    pub(super) withhold_response: bool,
}

/// A call of the function to the Runtime API.
#[derive(Debug)]
pub(super) enum RuntimeEvent {
    /// It requests an event.
    Polled,
    /// It has received the event of the request with this id.
    Received(String),
    /// It reported the result of the request with this id.
    Completed(String, Result<Bytes, FunctionError>),
    /// It reported that it could not initialise.
    InitFailed(FunctionError),
}

/// The server for one environment.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    pub(super) address: SocketAddr,
    invocations: mpsc::Sender<Invocation>,
    events: mpsc::UnboundedReceiver<RuntimeEvent>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    invocations: Arc<AsyncMutex<mpsc::Receiver<Invocation>>>,
    events: mpsc::UnboundedSender<RuntimeEvent>,
    current: Arc<Mutex<Option<Current>>>,
}

/// The request that the function is handling.
struct Current {
    request_id: String,
    withhold_response: bool,
}

impl RuntimeApi {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (invocations, receiver) = mpsc::channel(1);
        let (sender, events) = mpsc::unbounded_channel();
        let shared = Shared {
            invocations: Arc::new(AsyncMutex::new(receiver)),
            events: sender,
            current: Arc::default(),
        };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{request_id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{request_id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .layer(DefaultBodyLimit::max(MAX_PAYLOAD_BYTES))
            .with_state(shared);
        // Without Nagle's algorithm, which delays small responses.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let server = tokio::spawn(async move {
            // It runs until it is aborted and returns no error.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, invocations, events, server })
    }

    /// Sends an invocation to the function when it requests an event.
    pub(super) fn send(&self, invocation: Invocation) {
        // The channel has capacity: an environment handles one invocation at a time.
        let _ = self.invocations.try_send(invocation);
    }

    /// Waits for the next call of the function. Cancel safe.
    pub(super) async fn next_event(&mut self) -> RuntimeEvent {
        match self.events.recv().await {
            Some(event) => event,
            // Not reached: the server owns a sender until it is aborted.
            None => std::future::pending().await,
        }
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn next(State(shared): State<Shared>) -> Response {
    let _ = shared.events.send(RuntimeEvent::Polled);
    let Some(event) = shared.invocations.lock().await.recv().await else {
        return error_response(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Container error",
            "the environment has ended",
        );
    };
    let deadline = SystemTime::now() + event.timeout;
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let current =
        Current { request_id: event.request_id.clone(), withhold_response: event.withhold_response };
    *shared.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(current);
    let _ = shared.events.send(RuntimeEvent::Received(event.request_id.clone()));
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", event.request_id),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", event.function_arn),
        ("lambda-runtime-trace-id", event.trace_id),
    ];
    (headers, event.payload).into_response()
}

async fn response(
    State(shared): State<Shared>,
    Path(request_id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let (outcome, status) = if let Ok(body) = body {
        (Ok(body), StatusCode::ACCEPTED)
    } else {
        let text = format!("the response is larger than {MAX_PAYLOAD_BYTES} bytes, or incomplete");
        (Err(FunctionError::new("Function.ResponseSizeTooLarge", text)), StatusCode::PAYLOAD_TOO_LARGE)
    };
    complete(&shared, request_id, outcome, status).await
}

async fn error(
    State(shared): State<Shared>,
    Path(request_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let error = reported_error(&headers, &body);
    complete(&shared, request_id, Err(error), StatusCode::ACCEPTED).await
}

async fn init_error(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let _ = shared.events.send(RuntimeEvent::InitFailed(reported_error(&headers, &body)));
    accepted(StatusCode::ACCEPTED)
}

async fn complete(
    shared: &Shared,
    request_id: String,
    outcome: Result<Bytes, FunctionError>,
    status: StatusCode,
) -> Response {
    let current = {
        let mut current = shared.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.take_if(|current| current.request_id == request_id)
    };
    let Some(current) = current else {
        return error_response(
            StatusCode::BAD_REQUEST,
            "InvalidRequestID",
            "the function is not handling this request",
        );
    };
    let _ = shared.events.send(RuntimeEvent::Completed(request_id, outcome));
    if current.withhold_response {
        // The environment is killed while its process waits for this response.
        return std::future::pending().await;
    }
    accepted(status)
}

/// Returns the error that a runtime reports: from the body, or from the header if the body has no type.
fn reported_error(headers: &HeaderMap, body: &[u8]) -> FunctionError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let member = |name: &str| body.get(name).and_then(Value::as_str);
    let header = || headers.get("lambda-runtime-function-error-type").and_then(|value| value.to_str().ok());
    FunctionError {
        error_type: member("errorType").or_else(header).unwrap_or("Unhandled").to_owned(),
        message: member("errorMessage").unwrap_or_default().to_owned(),
    }
}

fn accepted(status: StatusCode) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], r#"{"status":"OK"}"#).into_response()
}

fn error_response(status: StatusCode, error_type: &str, text: &str) -> Response {
    let body = serde_json::json!({ "errorMessage": text, "errorType": error_type });
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn invocation(withhold_response: bool) -> Invocation {
        Invocation {
            request_id: "id".into(),
            payload: Bytes::from_static(b"{\"a\":1}"),
            function_arn: "arn".into(),
            trace_id: "Root=1-0-0".into(),
            timeout: Duration::from_secs(3),
            withhold_response,
        }
    }

    struct Runtime {
        api: RuntimeApi,
        client: reqwest::Client,
    }

    impl Runtime {
        async fn start() -> Self {
            Self { api: RuntimeApi::start().await.unwrap(), client: reqwest::Client::new() }
        }

        fn url(&self, path: &str) -> String {
            format!("http://{}/2018-06-01/runtime/{path}", self.api.address)
        }

        async fn next(&self) -> reqwest::Response {
            self.client.get(self.url("invocation/next")).send().await.unwrap()
        }

        async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
            let request = self.client.post(self.url(path)).body(body);
            let request = request.header("lambda-runtime-function-error-type", "Runtime.Header");
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.json().await.unwrap())
        }
    }

    #[tokio::test]
    async fn a_runtime_receives_an_event_with_the_documented_headers_and_completes_it_once() {
        let mut runtime = Runtime::start().await;
        runtime.api.send(invocation(false));
        let event = runtime.next().await;
        let header = |name: &str| event.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("lambda-runtime-aws-request-id"), "id");
        assert_eq!(header("lambda-runtime-invoked-function-arn"), "arn");
        assert_eq!(header("lambda-runtime-trace-id"), "Root=1-0-0");
        let deadline: u128 = header("lambda-runtime-deadline-ms").parse().unwrap();
        let now = UNIX_EPOCH.elapsed().unwrap().as_millis();
        assert!((now..=now + 3_000).contains(&deadline), "{deadline} at {now}");
        assert_eq!(event.text().await.unwrap(), "{\"a\":1}");
        assert!(matches!(runtime.api.next_event().await, RuntimeEvent::Polled));
        assert!(matches!(runtime.api.next_event().await, RuntimeEvent::Received(id) if id == "id"));

        let (status, refusal) = runtime.post("invocation/other/response", "1").await;
        assert_eq!((status, &refusal["errorType"]), (400, &json!("InvalidRequestID")));
        assert_eq!(runtime.post("invocation/id/response", "1").await, (202, json!({ "status": "OK" })));
        assert!(
            matches!(runtime.api.next_event().await, RuntimeEvent::Completed(_, Ok(response)) if response == "1")
        );
        assert_eq!(runtime.post("invocation/id/response", "2").await.0, 400);
    }

    #[tokio::test]
    async fn an_error_is_read_from_the_body_or_else_from_the_header() {
        let mut runtime = Runtime::start().await;
        for (body, error_type, message) in
            [(r#"{"errorType": "A", "errorMessage": "b"}"#, "A", "b"), ("no json", "Runtime.Header", "")]
        {
            runtime.api.send(invocation(false));
            runtime.next().await;
            assert_eq!(runtime.post("invocation/id/error", body).await.0, 202);
            assert!(matches!(runtime.api.next_event().await, RuntimeEvent::Polled));
            assert!(matches!(runtime.api.next_event().await, RuntimeEvent::Received(_)));
            let RuntimeEvent::Completed(_, Err(error)) = runtime.api.next_event().await else {
                panic!("no error")
            };
            assert_eq!((error.error_type.as_str(), error.message.as_str()), (error_type, message));
        }
        let failed = r#"{"errorType": "NoSettings", "errorMessage": "x"}"#;
        assert_eq!(runtime.post("init/error", failed).await.0, 202);
        let RuntimeEvent::InitFailed(error) = runtime.api.next_event().await else { panic!("no error") };
        assert_eq!(error.to_string(), "NoSettings: x");
    }

    #[tokio::test]
    async fn a_withheld_response_is_not_sent_although_the_result_is_received() {
        let mut runtime = Runtime::start().await;
        runtime.api.send(invocation(true));
        runtime.next().await;
        let response = runtime.post("invocation/id/response", "1");
        assert!(tokio::time::timeout(Duration::from_millis(200), response).await.is_err());
        assert!(matches!(runtime.api.next_event().await, RuntimeEvent::Polled));
        assert!(matches!(runtime.api.next_event().await, RuntimeEvent::Received(_)));
        assert!(matches!(runtime.api.next_event().await, RuntimeEvent::Completed(_, Ok(_))));
    }
}

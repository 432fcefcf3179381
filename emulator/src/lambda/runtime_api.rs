//! The Runtime API of one environment: the side of it that functions call.
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

/// An event on its way to a function.
#[derive(Debug)]
pub(super) struct Handover {
    pub(super) request_id: String,
    pub(super) payload: Bytes,
    pub(super) function_arn: String,
    pub(super) trace_id: String,
    /// From the moment that the event is taken.
    pub(super) timeout: Duration,
    /// The answer is received, but the function never hears that it was.
    pub(super) keeps_silent: bool,
}

/// What a function has said.
#[derive(Debug)]
pub(super) enum Said {
    /// It asks for an event.
    Polled,
    /// It has the event of this request.
    Took(String),
    /// It is done with it.
    Ended(String, Result<Bytes, FunctionError>),
    /// It could not start.
    InitFailed(FunctionError),
}

/// A listener that one environment talks to.
#[derive(Debug)]
pub(super) struct RuntimeApi {
    pub(super) address: SocketAddr,
    handovers: mpsc::Sender<Handover>,
    said: mpsc::UnboundedReceiver<Said>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    handovers: Arc<AsyncMutex<mpsc::Receiver<Handover>>>,
    said: mpsc::UnboundedSender<Said>,
    current: Arc<Mutex<Option<Current>>>,
}

/// The request that the function works on.
struct Current {
    request_id: String,
    keeps_silent: bool,
}

impl RuntimeApi {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (handovers, waiting) = mpsc::channel(1);
        let (speaker, said) = mpsc::unbounded_channel();
        let shared =
            Shared { handovers: Arc::new(AsyncMutex::new(waiting)), said: speaker, current: Arc::default() };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{request_id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{request_id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .layer(DefaultBodyLimit::max(MAX_PAYLOAD_BYTES))
            .with_state(shared);
        // Small answers would wait for the acknowledgement of the one before.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let server = tokio::spawn(async move {
            // It serves until it is aborted, and has no error of its own.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, handovers, said, server })
    }

    /// Lets the function have an event when it asks for one.
    pub(super) fn hand_over(&self, event: Handover) {
        // One place, and one event at a time: it is free.
        let _ = self.handovers.try_send(event);
    }

    /// The next thing that the function says. May be dropped and called again.
    pub(super) async fn heard(&mut self) -> Said {
        match self.said.recv().await {
            Some(said) => said,
            // The server holds the other end until it is aborted.
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
    let _ = shared.said.send(Said::Polled);
    let Some(event) = shared.handovers.lock().await.recv().await else {
        return refused(StatusCode::INTERNAL_SERVER_ERROR, "Container error", "the environment has ended");
    };
    let deadline = SystemTime::now() + event.timeout;
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let current = Current { request_id: event.request_id.clone(), keeps_silent: event.keeps_silent };
    *shared.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(current);
    let _ = shared.said.send(Said::Took(event.request_id.clone()));
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
        let text = format!("the answer is larger than {MAX_PAYLOAD_BYTES} bytes, or was cut off");
        (Err(FunctionError::new("Function.ResponseSizeTooLarge", text)), StatusCode::PAYLOAD_TOO_LARGE)
    };
    end(&shared, request_id, outcome, status).await
}

async fn error(
    State(shared): State<Shared>,
    Path(request_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let error = stated(&headers, &body);
    end(&shared, request_id, Err(error), StatusCode::ACCEPTED).await
}

async fn init_error(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let _ = shared.said.send(Said::InitFailed(stated(&headers, &body)));
    accepted(StatusCode::ACCEPTED)
}

async fn end(
    shared: &Shared,
    request_id: String,
    outcome: Result<Bytes, FunctionError>,
    status: StatusCode,
) -> Response {
    let ended = {
        let mut current = shared.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.take_if(|current| current.request_id == request_id)
    };
    let Some(current) = ended else {
        return refused(StatusCode::BAD_REQUEST, "InvalidRequestID", "no such request is being worked on");
    };
    let _ = shared.said.send(Said::Ended(request_id, outcome));
    if current.keeps_silent {
        // The environment is killed while its process waits for this.
        return std::future::pending().await;
    }
    accepted(status)
}

/// The error that a runtime states, by its body or else its header.
fn stated(headers: &HeaderMap, body: &[u8]) -> FunctionError {
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

fn refused(status: StatusCode, error_type: &str, text: &str) -> Response {
    let body = serde_json::json!({ "errorMessage": text, "errorType": error_type });
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn handover(keeps_silent: bool) -> Handover {
        Handover {
            request_id: "id".into(),
            payload: Bytes::from_static(b"{\"a\":1}"),
            function_arn: "arn".into(),
            trace_id: "Root=1-0-0".into(),
            timeout: Duration::from_secs(3),
            keeps_silent,
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
    async fn a_runtime_takes_an_event_with_the_documented_headers_and_answers_it_once() {
        let mut runtime = Runtime::start().await;
        runtime.api.hand_over(handover(false));
        let event = runtime.next().await;
        let header = |name: &str| event.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("lambda-runtime-aws-request-id"), "id");
        assert_eq!(header("lambda-runtime-invoked-function-arn"), "arn");
        assert_eq!(header("lambda-runtime-trace-id"), "Root=1-0-0");
        let deadline: u128 = header("lambda-runtime-deadline-ms").parse().unwrap();
        let now = UNIX_EPOCH.elapsed().unwrap().as_millis();
        assert!((now..=now + 3_000).contains(&deadline), "{deadline} at {now}");
        assert_eq!(event.text().await.unwrap(), "{\"a\":1}");
        assert!(matches!(runtime.api.heard().await, Said::Polled));
        assert!(matches!(runtime.api.heard().await, Said::Took(id) if id == "id"));

        let (status, refusal) = runtime.post("invocation/other/response", "1").await;
        assert_eq!((status, &refusal["errorType"]), (400, &json!("InvalidRequestID")));
        assert_eq!(runtime.post("invocation/id/response", "1").await, (202, json!({ "status": "OK" })));
        assert!(matches!(runtime.api.heard().await, Said::Ended(_, Ok(answer)) if answer == "1"));
        assert_eq!(runtime.post("invocation/id/response", "2").await.0, 400);
    }

    #[tokio::test]
    async fn an_error_is_what_the_body_says_or_else_the_header() {
        let mut runtime = Runtime::start().await;
        for (body, error_type, message) in
            [(r#"{"errorType": "A", "errorMessage": "b"}"#, "A", "b"), ("no json", "Runtime.Header", "")]
        {
            runtime.api.hand_over(handover(false));
            runtime.next().await;
            assert_eq!(runtime.post("invocation/id/error", body).await.0, 202);
            assert!(matches!(runtime.api.heard().await, Said::Polled));
            assert!(matches!(runtime.api.heard().await, Said::Took(_)));
            let Said::Ended(_, Err(error)) = runtime.api.heard().await else { panic!("no error") };
            assert_eq!((error.error_type.as_str(), error.message.as_str()), (error_type, message));
        }
        let failed = r#"{"errorType": "NoSettings", "errorMessage": "x"}"#;
        assert_eq!(runtime.post("init/error", failed).await.0, 202);
        let Said::InitFailed(error) = runtime.api.heard().await else { panic!("no error") };
        assert_eq!(error.to_string(), "NoSettings: x");
    }

    #[tokio::test]
    async fn a_silent_api_takes_the_answer_and_does_not_say_so() {
        let mut runtime = Runtime::start().await;
        runtime.api.hand_over(handover(true));
        runtime.next().await;
        let answer = runtime.post("invocation/id/response", "1");
        assert!(tokio::time::timeout(Duration::from_millis(200), answer).await.is_err());
        assert!(matches!(runtime.api.heard().await, Said::Polled));
        assert!(matches!(runtime.api.heard().await, Said::Took(_)));
        assert!(matches!(runtime.api.heard().await, Said::Ended(_, Ok(_))));
    }
}

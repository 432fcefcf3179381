//! Lambda function URLs with the authorization `AWS_IAM`.
//!
//! A request must be signed with AWS Signature Version 4 for the service `lambda`. The verifier of the one-machine platform
//! checks the signature. The function receives the request in payload format 2.0, and its result becomes the response.
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>
//!
//! Not emulated: the authorization `NONE`, CORS, session tokens, streamed responses, signed requests with a query string
//! (all refused), TLS.

mod payload;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};
use streamio_edge::sign::sigv4::{Credentials, SigningError};
use streamio_local::home::signature::Verifier;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::lambda::{Invoke, InvokeError, MAX_PAYLOAD_BYTES};
use crate::wall_clock;

/// The configuration of a function URL.
#[derive(Debug, Clone)]
pub struct FunctionUrlConfig {
    /// The function's name.
    pub function: String,
    /// The region in the scope of signatures.
    pub region: String,
    /// The id of the account, 12 digits.
    pub account_id: String,
    /// The accepted credentials. `Debug` does not show the secrets.
    pub credentials: Vec<Credentials>,
}

/// A running listener on the loopback interface. It stops when this is dropped.
#[derive(Debug)]
pub struct FunctionUrl {
    address: SocketAddr,
    server: JoinHandle<()>,
}

struct Shared {
    config: FunctionUrlConfig,
    verifier: Verifier,
    invoke: Arc<dyn Invoke>,
    address: SocketAddr,
}

impl FunctionUrl {
    /// Starts a listener on a free port.
    pub async fn start(config: FunctionUrlConfig, invoke: Arc<dyn Invoke>) -> io::Result<Self> {
        let invalid = |error: SigningError| io::Error::new(io::ErrorKind::InvalidInput, error);
        let verifier = Verifier::new(&config.region, "lambda", &config.credentials).map_err(invalid)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new()
            .fallback(respond)
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::new(Shared { config, verifier, invoke, address }))
            .into_make_service_with_connect_info::<SocketAddr>();
        // Without Nagle's algorithm, which delays small responses.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let server = tokio::spawn(async move {
            // It runs until it is aborted and returns no error.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, server })
    }

    /// Returns the URL, `http://127.0.0.1:{port}`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for FunctionUrl {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn respond(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_PAYLOAD_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            return payload::error_response(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        }
        Err(_) => return payload::error_response(StatusCode::BAD_REQUEST, "Bad Request"),
    };
    let now = wall_clock::now();
    if let Err(refusal) = shared.verifier.verify(&head, &body, now) {
        let function = &shared.config.function;
        tracing::warn!(function.name = function, reason = %refusal, "a request to a function URL was refused");
        return payload::error_response(StatusCode::FORBIDDEN, "Forbidden");
    }
    let received = payload::Received { config: &shared.config, address: shared.address, peer, now };
    let event = payload::event(&head, &body, &received);
    match shared.invoke.invoke(&shared.config.function, Bytes::from(event.to_string())).await {
        Ok(result) => payload::response(&result),
        Err(InvokeError::Throttled { .. }) => {
            payload::error_response(StatusCode::TOO_MANY_REQUESTS, "Rate Exceeded.")
        }
        Err(InvokeError::TooLarge { .. }) => {
            payload::error_response(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
        }
        Err(InvokeError::Function(_)) => {
            payload::error_response(StatusCode::BAD_GATEWAY, "Internal Server Error")
        }
        Err(InvokeError::Unknown { .. } | InvokeError::Stopped) => {
            payload::error_response(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
        }
    }
}

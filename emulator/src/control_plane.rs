//! The calls of AWS that an operator's command makes beside those of DynamoDB: `GetCallerIdentity` of STS and `Invoke` of Lambda, both on one
//! listener. Requests must be signed for their service; signatures are verified.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>,
//! <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>
//!
//! Functions are invoked by the names of a deployment, such as `streamio-react`.
//!
//! Not emulated: asynchronous invocations, versions and aliases, logs in responses, permissions.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::json;
use streamio_edge::sign::sigv4::{Credentials, SigningError};
use streamio_local::home::signature::Verifier;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::arn::{ACCOUNT, REGION};
use crate::http_listener::{CloseConnection, bind, serve, url};
use crate::lambda::{Invoke, InvokeError};
use crate::wall_clock;

/// What the names of functions begin with in a deployment, and not here.
const FUNCTION_PREFIX: &str = "streamio-";

/// The ARN of the operator.
const OPERATOR: &str = "arn:aws:iam::111122223333:user/operator";

/// A running listener on the loopback interface. It stops when this is dropped.
pub struct ControlPlane {
    url: String,
    _stop: DropGuard,
}

struct Shared {
    sts: Verifier,
    lambda: Verifier,
    invoke: Arc<dyn Invoke>,
}

impl ControlPlane {
    /// Starts a listener on a free port that accepts requests of `credentials`.
    pub async fn start(credentials: &[Credentials], invoke: Arc<dyn Invoke>) -> io::Result<Self> {
        let invalid = |error: SigningError| io::Error::new(io::ErrorKind::InvalidInput, error);
        let shared = Arc::new(Shared {
            sts: Verifier::new(REGION, "sts", credentials).map_err(invalid)?,
            lambda: Verifier::new(REGION, "lambda", credentials).map_err(invalid)?,
            invoke,
        });
        let listener = bind().await?;
        let url = url(&listener)?;
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, stop.clone(), move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, CloseConnection>(shared.respond(request).await) }
        }));
        Ok(Self { url, _stop: stop.drop_guard() })
    }

    /// Returns the URL, `http://127.0.0.1:{port}`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Shared {
    async fn respond(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (head, body) = request.into_parts();
        let function = head.uri.path().strip_prefix("/2015-03-31/functions/");
        let function = function.and_then(|rest| rest.strip_suffix("/invocations"));
        let verifier = if function.is_some() { &self.lambda } else { &self.sts };
        if let Err(refusal) = verifier.verify(&head, &body, wall_clock::now()) {
            tracing::warn!(path = head.uri.path(), reason = %refusal, "a call of the control plane was refused");
            let message = json!({ "message": refusal.to_string() }).to_string();
            return response(StatusCode::FORBIDDEN, message);
        }
        match function {
            Some(function) => self.invoke(function, body).await,
            None if body.starts_with(b"Action=GetCallerIdentity") => identity(),
            None => response(StatusCode::BAD_REQUEST, "this call is not emulated".to_owned()),
        }
    }

    async fn invoke(&self, function: &str, event: Bytes) -> Response<Bytes> {
        let error = |status, error: &InvokeError| {
            response(status, json!({ "Message": error.to_string() }).to_string())
        };
        let function = function.strip_prefix(FUNCTION_PREFIX).unwrap_or(function);
        match self.invoke.invoke(function, event).await {
            Ok(result) => response(StatusCode::OK, result),
            Err(InvokeError::Function(failure)) => {
                let body = json!({ "errorType": failure.error_type, "errorMessage": failure.message });
                let mut response = response(StatusCode::OK, body.to_string());
                let value = http::HeaderValue::from_static("Unhandled");
                response.headers_mut().insert("x-amz-function-error", value);
                response
            }
            Err(refused @ InvokeError::Unknown { .. }) => error(StatusCode::NOT_FOUND, &refused),
            Err(refused @ InvokeError::Throttled { .. }) => error(StatusCode::TOO_MANY_REQUESTS, &refused),
            Err(refused @ InvokeError::TooLarge { .. }) => error(StatusCode::PAYLOAD_TOO_LARGE, &refused),
            Err(refused @ InvokeError::Stopped) => error(StatusCode::SERVICE_UNAVAILABLE, &refused),
        }
    }
}

fn identity() -> Response<Bytes> {
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>{OPERATOR}</Arn>\
         <UserId>AIDAEXAMPLE</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult><ResponseMetadata>\
         <RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    response(StatusCode::OK, body)
}

fn response(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
}

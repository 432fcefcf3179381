//! Synchronous invocations of Lambda functions
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>).
//!
//! One call of the API, signed here: the SDK of the service would be by far the largest dependency of the command `streamio`.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use serde_json::Value;
use streamio_core::ports::AdapterError;

/// How long an invocation may take: the longest timeout of a function.
const TIMEOUT: Duration = Duration::from_mins(15);

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The service refused the call: there is no such function, or the caller has no permission.
    #[error("Lambda refused to invoke the function {function} ({status}): {message}")]
    Refused {
        /// The function.
        function: String,
        /// The status of the response.
        status: u16,
        /// The service's message.
        message: String,
    },
    /// The function failed.
    #[error("the function {function} failed: {message}")]
    Function {
        /// The function.
        function: String,
        /// The function's message.
        message: String,
    },
    /// The service is unavailable or throttles the caller. The function may have been invoked.
    #[error("the function {function} cannot be invoked")]
    Unavailable {
        /// The function.
        function: String,
        /// The cause.
        #[source]
        source: AdapterError,
    },
}

/// Invokes functions with the credentials of an SDK configuration.
#[derive(Debug, Clone)]
pub struct Invoker {
    http: reqwest::Client,
    credentials: SharedCredentialsProvider,
    region: String,
    endpoint: String,
}

impl Invoker {
    /// Returns the invoker for the region of `config`. `endpoint` replaces the public address of the service.
    ///
    /// # Errors
    /// If `config` has no region or no source of credentials.
    pub fn new(config: &SdkConfig, endpoint: Option<String>) -> Result<Self, AdapterError> {
        let region = config.region().ok_or("there is no AWS region")?.to_string();
        let credentials = config.credentials_provider().ok_or("there are no AWS credentials")?;
        let http = reqwest::Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).build()?;
        let endpoint = endpoint.unwrap_or_else(|| public_endpoint(&region));
        Ok(Self { http, credentials, region, endpoint: endpoint.trim_end_matches('/').to_owned() })
    }

    /// Invokes `function` with `event`, and returns its response.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Value, InvokeError> {
        let unavailable = |source| InvokeError::Unavailable { function: function.to_owned(), source };
        let response = self.call(function, event).await.map_err(unavailable)?;
        let status = response.status();
        let has_failed = response.headers().contains_key("x-amz-function-error");
        let body = response.bytes().await.map_err(|error| unavailable(error.into()))?;
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        if status.is_server_error() || status.as_u16() == 429 {
            let message = text("message").or_else(|| text("Message")).unwrap_or_default();
            return Err(unavailable(format!("{status}: {message}").into()));
        }
        if !status.is_success() {
            let message = text("message").or_else(|| text("Message")).unwrap_or_default();
            return Err(InvokeError::Refused {
                function: function.to_owned(),
                status: status.as_u16(),
                message,
            });
        }
        if has_failed {
            let message = text("errorMessage").unwrap_or_else(|| "without a message".to_owned());
            return Err(InvokeError::Function { function: function.to_owned(), message });
        }
        Ok(json)
    }

    async fn call(&self, function: &str, event: &Value) -> Result<reqwest::Response, AdapterError> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", self.endpoint);
        let body = event.to_string();
        let headers = [("content-type", "application/json"), ("x-amz-invocation-type", "RequestResponse")];
        let identity = self.credentials.provide_credentials().await?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("lambda")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let signable =
            SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        let request = self.http.post(&url).body(body);
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        let request =
            instructions.headers().fold(request, |request, (name, value)| request.header(name, value));
        Ok(request.send().await?)
    }
}

/// The address of the service in a region.
fn public_endpoint(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://lambda.{region}.{domain}")
}

//! A client of the platform's API and of the URLs that it returns.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use minreq::{Method, Request, Response};
use serde_json::Value;

/// The timeout of a request, in seconds. The platform answers within milliseconds, or is killed.
const TIMEOUT: u64 = 60;

/// Why a call has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The platform did not answer, or answered with a server error: whether the call had an effect is unknown.
    Unknown,
    /// The platform refused the call.
    Refused { status: u16, body: String },
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unknown => Self::msg("the platform did not answer"),
            Failure::Refused { status, body } => anyhow::anyhow!("the platform answered {status}: {body}"),
        }
    }
}

/// The API of a running platform, with the key of one project.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) url: String,
    pub(crate) key: String,
}

impl Api {
    /// Makes a call that can be repeated under `idempotency_key`.
    pub(crate) fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        idempotency_key: &str,
    ) -> Result<Value, Failure> {
        let mut request = Request::new(method, format!("{}{path}", self.url))
            .with_header("idempotency-key", idempotency_key)
            .with_header("x-api-key", &self.key);
        if let Some(body) = body {
            request = request.with_header("content-type", "application/json").with_body(body.to_string());
        }
        json(&send(request)?)
    }

    /// Reads a resource.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        let request = minreq::get(format!("{}{path}", self.url)).with_header("x-api-key", &self.key);
        json(&send(request)?)
    }

    /// Reads a resource, and fails if the platform does not answer.
    pub(crate) fn read(&self, path: &str) -> Result<Value> {
        self.get(path).map_err(anyhow::Error::from).with_context(|| format!("GET {path}"))
    }
}

/// Sends a body to a presigned URL. Returns the header `returned` of the response.
pub(crate) fn put(url: &str, body: Vec<u8>, returned: &str) -> Result<String, Failure> {
    let response = send(minreq::put(url).with_body(body))?;
    header(&response, returned)
}

/// Completes an upload in parts, whose entity tags are in their order. Returns the version.
pub(crate) fn complete(url: &str, headers: &Value, etags: &[String]) -> Result<String, Failure> {
    let parts = (1..).zip(etags).map(|(number, etag): (u32, _)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    });
    let body = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.collect::<String>());
    let mut request = minreq::post(url).with_body(body);
    for (name, value) in headers.as_object().into_iter().flatten() {
        request = request.with_header(name, value.as_str().unwrap_or_default());
    }
    let response = send(request)?;
    // The object store may answer 200 before it knows the result.
    if !text(&response).contains("CompleteMultipartUploadResult") {
        return Err(Failure::Refused { status: 200, body: text(&response) });
    }
    header(&response, "x-amz-version-id")
}

/// Downloads from a signed URL.
pub(crate) fn download(url: &str) -> Result<Vec<u8>> {
    let response = send(minreq::get(url)).map_err(anyhow::Error::from);
    Ok(response.with_context(|| format!("GET {}", url.split('?').next().unwrap_or_default()))?.into_bytes())
}

/// Downloads from a signed URL where a missing object is an answer: `None`.
pub(crate) fn download_if_present(url: &str) -> Result<Option<Vec<u8>>> {
    match send(minreq::get(url)) {
        Ok(response) => Ok(Some(response.into_bytes())),
        Err(Failure::Refused { status: 404, .. }) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

/// The entry of an answer at a JSON pointer, which must be text.
pub(crate) fn text_at<'a>(answer: &'a Value, pointer: &str) -> Result<&'a str> {
    match answer.pointer(pointer).and_then(Value::as_str) {
        Some(text) => Ok(text),
        None => bail!("the platform's answer has no {pointer}: {answer}"),
    }
}

/// Sends a request. One that exceeds the rate limit is repeated after the stated time.
fn send(request: Request) -> Result<Response, Failure> {
    let request = request.with_timeout(TIMEOUT);
    loop {
        let response = request.clone().send().map_err(|_| Failure::Unknown)?;
        match response.status_code {
            200..=299 => return Ok(response),
            429 => {
                let seconds =
                    response.header("retry-after").and_then(|after| after.parse().ok()).unwrap_or(1);
                thread::sleep(Duration::from_secs(seconds));
            }
            500.. => return Err(Failure::Unknown),
            status => return Err(Failure::Refused { status, body: text(&response) }),
        }
    }
}

fn json(response: &Response) -> Result<Value, Failure> {
    // An answer that was cut off by the kill is none.
    serde_json::from_slice(response.as_bytes()).map_err(|_| Failure::Unknown)
}

fn header(response: &Response, name: &str) -> Result<String, Failure> {
    let value = response.header(name).map(str::to_owned);
    value.ok_or_else(|| Failure::Refused { status: 200, body: format!("the response has no header {name}") })
}

fn text(response: &Response) -> String {
    String::from_utf8_lossy(response.as_bytes()).into_owned()
}

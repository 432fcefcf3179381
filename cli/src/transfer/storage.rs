//! Presigned requests to the object store with the S3 protocol: PUT, complete and abort.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use reqwest::{Response, redirect};
use serde::{Deserialize, Serialize};

use super::body::{Chunk, Stalled};
use crate::client::error::{ClientError, StorageError};
use crate::client::wire::SignedUrl;
use crate::client::{address_of, http_client_builder};
use crate::exit::{Exit, Failure};

/// Joining the parts of a large object can take S3 minutes.
const COMPLETE_TIMEOUT: Duration = Duration::from_mins(10);
const ABORT_TIMEOUT: Duration = Duration::from_secs(15);
/// Upper bound for response bodies, which are small XML documents.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A client of one object store.
#[derive(Clone)]
pub(crate) struct Storage {
    http: reqwest::Client,
    address: String,
}

/// `CompleteMultipartUpload` of the S3 protocol.
#[derive(Serialize)]
#[serde(rename = "CompleteMultipartUpload")]
struct Complete<'a> {
    #[serde(rename = "Part")]
    parts: Vec<CompletePart<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CompletePart<'a> {
    part_number: u32,
    #[serde(rename = "ETag")]
    etag: &'a str,
}

/// `CompleteMultipartUploadResult` of the S3 protocol.
#[derive(Default, Deserialize)]
struct Completed {
    #[serde(rename = "ETag")]
    etag: Option<String>,
}

impl Storage {
    /// A client of the store that `url` points to.
    pub(crate) fn at(url: &SignedUrl) -> Result<Self, Failure> {
        let http = http_client_builder(url.expose())
            // A streamed body cannot be sent again, and a signature is valid for one host only.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| {
                Failure::new(
                    Exit::Failed,
                    format!("cannot create an HTTP client: {}", error.without_url()),
                    "",
                )
            })?;
        Ok(Self { http, address: address_of(url.expose()) })
    }

    /// Uploads `chunk` to `url` and returns the entity tag as the store returned it, with quotes.
    pub(crate) async fn put(
        &self,
        url: &SignedUrl,
        headers: &BTreeMap<String, String>,
        chunk: &Chunk<'_>,
    ) -> Result<String, ClientError> {
        // Always stated, because it is signed; for an empty body the client would omit it.
        let mut request = self.http.put(url.expose().clone()).header(CONTENT_LENGTH, chunk.length);
        for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length")) {
            request = request.header(name, value);
        }
        let (body, activity) = chunk.open().await?;
        let result = activity.watch(request.body(body).send()).await;
        let response = match result {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                chunk.check_unchanged()?;
                return Err(ClientError::from_request_error(&self.address, error));
            }
            Err(Stalled) => return Err(ClientError::TimedOut { address: self.address.clone() }),
        };
        let response = self.check_status(response).await?;
        let etag = response.headers().get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let etag = etag.ok_or_else(|| self.unexpected("it returned no entity tag"))?;
        activity.keep();
        Ok(etag)
    }

    /// Completes a multipart upload. `parts` are entity tags by part number. Returns the object's entity tag without quotes, if
    /// the store returned one.
    pub(crate) async fn complete(
        &self,
        url: &SignedUrl,
        headers: &BTreeMap<String, String>,
        parts: &BTreeMap<u32, String>,
    ) -> Result<Option<String>, ClientError> {
        let parts = parts.iter().map(|(&part_number, etag)| CompletePart { part_number, etag }).collect();
        let body = quick_xml::se::to_string(&Complete { parts })
            .map_err(|error| self.unexpected(&error.to_string()))?;
        let mut request = self.http.post(url.expose().clone()).header(CONTENT_TYPE, "application/xml");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response =
            request.timeout(COMPLETE_TIMEOUT).body(body).send().await.map_err(|error| self.failed(error))?;
        let response = self.check_status(response).await?;
        // S3 sends the status before the operation ends, so an error can have status 200.
        let body = self.text(response).await?;
        if body.contains("<Error>") {
            let mut error = StorageError::parse(200, &body);
            if error.code.is_empty() {
                "InternalError".clone_into(&mut error.code);
            }
            return Err(ClientError::Storage(Box::new(error)));
        }
        let completed: Completed = quick_xml::de::from_str(&body).unwrap_or_default();
        Ok(completed.etag.map(|etag| etag.trim_matches('"').to_owned()))
    }

    /// Aborts a multipart upload, which frees the storage of its parts.
    pub(crate) async fn abort(&self, url: &SignedUrl) -> Result<(), ClientError> {
        let request = self.http.delete(url.expose().clone()).timeout(ABORT_TIMEOUT);
        let response = request.send().await.map_err(|error| self.failed(error))?;
        self.check_status(response).await.map(|_| ())
    }

    /// Returns the response, or the store's error if the status is not 2xx.
    async fn check_status(&self, response: Response) -> Result<Response, ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.text(response).await?;
        Err(ClientError::Storage(Box::new(StorageError::parse(status.as_u16(), &body))))
    }

    async fn text(&self, mut response: Response) -> Result<String, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BODY_BYTES {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn failed(&self, error: reqwest::Error) -> ClientError {
        ClientError::from_request_error(&self.address, error)
    }

    fn unexpected(&self, reason: &str) -> ClientError {
        ClientError::Unexpected { address: self.address.clone(), reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_parts_has_the_format_of_s3() {
        let parts = vec![
            CompletePart { part_number: 1, etag: "\"a54357aff0632cce46d942af68356b38\"" },
            CompletePart { part_number: 2, etag: "\"0c78aef83f66abc1fa1e8477f296d394\"" },
        ];
        insta::assert_snapshot!(quick_xml::se::to_string(&Complete { parts }).unwrap(), @r#"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"a54357aff0632cce46d942af68356b38"</ETag></Part><Part><PartNumber>2</PartNumber><ETag>"0c78aef83f66abc1fa1e8477f296d394"</ETag></Part></CompleteMultipartUpload>"#);
    }
}

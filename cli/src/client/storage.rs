//! Presigned requests to the object store: the S3 protocol, as far as an upload needs it.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, ETAG};
use reqwest::{Response, redirect};
use serde::{Deserialize, Serialize};

use super::error::{ClientError, StorageError};
use super::wire::SignedUrl;
use super::{address_of, builder};
use crate::exit::{Exit, Failure};
use crate::transfer::body::{Chunk, Stalled};

/// Putting the parts of a large object together can take S3 minutes.
const COMPLETE_TIMEOUT: Duration = Duration::from_mins(10);
const ABORT_TIMEOUT: Duration = Duration::from_secs(15);
/// An error document is small; what is longer is not read.
const MOST_ERROR_BYTES: usize = 64 * 1024;

/// One object store.
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
    /// The store that `url` points to.
    pub(crate) fn at(url: &SignedUrl) -> Result<Self, Failure> {
        let http = builder(url.expose())
            // A body that is a stream cannot be sent a second time, and a signature holds for one host only.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| {
                Failure::new(Exit::Failed, format!("no HTTP client can be made: {}", error.without_url()), "")
            })?;
        Ok(Self { http, address: address_of(url.expose()) })
    }

    /// Stores `chunk` at `url`, and answers the entity tag as the store wrote it.
    pub(crate) async fn put(
        &self,
        url: &SignedUrl,
        headers: &BTreeMap<String, String>,
        chunk: &Chunk<'_>,
    ) -> Result<String, ClientError> {
        let mut request = self.http.put(url.expose().clone());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let (body, activity) = chunk.open().await?;
        let answer = activity.watch(request.body(body).send()).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                chunk.check_unchanged()?;
                return Err(ClientError::of_exchange(&self.address, error));
            }
            Err(Stalled) => return Err(ClientError::TimedOut { address: self.address.clone() }),
        };
        let answer = self.accepted(answer).await?;
        let etag = answer.headers().get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let etag = etag.ok_or_else(|| self.unexpected("it stored the bytes without an entity tag"))?;
        activity.keep();
        Ok(etag)
    }

    /// Makes the object of its parts, which are entity tags by part number. Answers the object's entity tag without
    /// quotes, where the store names it.
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
        let answer =
            request.timeout(COMPLETE_TIMEOUT).body(body).send().await.map_err(|error| self.failed(error))?;
        let answer = self.accepted(answer).await?;
        // S3 begins its answer before it knows how it ends: an error may come with status 200.
        let body = self.text(answer).await?;
        if body.contains("<Error>") {
            let mut error = StorageError::read(200, &body);
            if error.code.is_empty() {
                "InternalError".clone_into(&mut error.code);
            }
            return Err(ClientError::Storage(Box::new(error)));
        }
        let completed: Completed = quick_xml::de::from_str(&body).unwrap_or_default();
        Ok(completed.etag.map(|etag| etag.trim_matches('"').to_owned()))
    }

    /// Frees what a multipart upload holds.
    pub(crate) async fn abort(&self, url: &SignedUrl) -> Result<(), ClientError> {
        let request = self.http.delete(url.expose().clone()).timeout(ABORT_TIMEOUT);
        let answer = request.send().await.map_err(|error| self.failed(error))?;
        self.accepted(answer).await.map(|_| ())
    }

    async fn accepted(&self, answer: Response) -> Result<Response, ClientError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = self.text(answer).await?;
        Err(ClientError::Storage(Box::new(StorageError::read(status.as_u16(), &body))))
    }

    async fn text(&self, mut answer: Response) -> Result<String, ClientError> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.failed(error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_ERROR_BYTES {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn failed(&self, error: reqwest::Error) -> ClientError {
        ClientError::of_exchange(&self.address, error)
    }

    fn unexpected(&self, reason: &str) -> ClientError {
        ClientError::Unexpected { address: self.address.clone(), reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_parts_is_what_s3_expects() {
        let parts = vec![
            CompletePart { part_number: 1, etag: "\"a54357aff0632cce46d942af68356b38\"" },
            CompletePart { part_number: 2, etag: "\"0c78aef83f66abc1fa1e8477f296d394\"" },
        ];
        insta::assert_snapshot!(quick_xml::se::to_string(&Complete { parts }).unwrap(), @r#"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"a54357aff0632cce46d942af68356b38"</ETag></Part><Part><PartNumber>2</PartNumber><ETag>"0c78aef83f66abc1fa1e8477f296d394"</ETag></Part></CompleteMultipartUpload>"#);
    }
}

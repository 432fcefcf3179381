//! Calls about the transparency log of the key's project.

use reqwest::Method;

use super::error::ClientError;
use super::retry::{RetryPolicy, with_retries};
use super::{Call, Client, retry_message};

impl Client {
    /// `GET /audit/public-key`.
    pub(crate) async fn audit_public_key(&self) -> Result<String, ClientError> {
        let url = self.url(&["audit", "public-key"], &[])?;
        let call = Call { method: Method::GET, url, idempotency_key: None, body: None };
        let body = self.send(call, RetryPolicy::Brief).await?;
        body["publicKey"].as_str().map(str::to_owned).ok_or_else(|| self.unexpected("it has no publicKey"))
    }

    /// `GET /audit/checkpoint`: the signed note.
    pub(crate) async fn audit_checkpoint(&self) -> Result<String, ClientError> {
        let note = self.bytes(&["audit", "checkpoint"]).await?;
        String::from_utf8(note).map_err(|_| self.unexpected("it is not UTF-8"))
    }

    /// `GET /audit/{path}` for the path of a tile; `None` if the tree has no such tile.
    pub(crate) async fn audit_tile(&self, path: &str) -> Result<Option<Vec<u8>>, ClientError> {
        let path: Vec<&str> = std::iter::once("audit").chain(path.split('/')).collect();
        match self.bytes(&path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(ClientError::Problem(problem)) if problem.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn bytes(&self, path: &[&str]) -> Result<Vec<u8>, ClientError> {
        let call = Call { method: Method::GET, url: self.url(path, &[])?, idempotency_key: None, body: None };
        let notify = |error: &ClientError, wait| (self.on_retry)(&retry_message(error, wait));
        with_retries(RetryPolicy::Brief, notify, || self.exchange_bytes(&call)).await
    }
}

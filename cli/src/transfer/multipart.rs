//! Uploads a file in parts: concurrent presigned PUTs, each with its own retries. An interrupted upload is resumed by the next
//! run.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, StreamExt, TryStreamExt};
use md5::{Digest, Md5};

use super::baseline::Baseline;
use super::body::Chunk;
use super::resume::{Identity, Unfinished, UploadState};
use super::stage::Stage;
use super::storage::Storage;
use super::{Stored, Transfer};
use crate::client::error::ClientError;
use crate::client::retry::{RetryPolicy, with_retries};
use crate::client::wire::{MultipartGrant, SignedUrl, UploadGrant, UploadRequest};
use crate::client::{IdempotencyKey, retry_message};
use crate::exit::{Exit, Failure};
use crate::output::size;
use crate::progress::{Progress, Unit};

/// How many times in a row to request new URLs without any part being stored.
const MAX_NEW_URLS: u32 = 2;

/// Uploads the file in parts.
pub(crate) async fn run(transfer: &Transfer) -> Result<Stored, Failure> {
    let client = &transfer.client;
    let identity = Identity::new(&transfer.source, client.address(), client.key_id(), &transfer.request);
    let mut state = UploadState::open(&transfer.state_directory, &identity)?;
    let progress = Progress::new(
        transfer.output,
        &format!("Uploading {}", transfer.source.name),
        Unit::Bytes,
        transfer.source.size,
    );
    let is_resumed = state.unfinished().is_some();
    let upload = Upload { transfer, progress: &progress };
    let outcome = match upload.run(&mut state).await {
        Err(UploadError::Missing) if is_resumed => {
            progress.note("The interrupted upload no longer exists; starting again");
            state.clear();
            progress.set(0);
            upload.run(&mut state).await
        }
        outcome => outcome,
    };
    progress.finish();
    match outcome {
        Ok(stored) => {
            state.clear();
            Ok(stored)
        }
        Err(UploadError::Missing) => {
            state.clear();
            Err(Failure::new(Exit::Failed, "the multipart upload no longer exists", "run the command again"))
        }
        Err(UploadError::Resumable(failure)) => {
            let stored = state.unfinished().map_or(0, |unfinished| unfinished.parts.len());
            Err(with_resume_hint(failure, stored))
        }
        Err(UploadError::Final(failure)) => {
            state.clear();
            Err(failure)
        }
    }
}

/// Adds to `failure` that the same command can resume with the stored parts.
fn with_resume_hint(failure: Failure, stored: usize) -> Failure {
    if stored == 0 {
        return failure;
    }
    let rest = format!("{stored} parts are stored; run the same command again to send only the rest");
    let hint = if failure.hint.is_empty() { rest } else { format!("{}; {rest}", failure.hint) };
    Failure { hint, ..failure }.with("resumable", true)
}

/// Why an upload ended.
enum UploadError {
    /// The multipart upload does not exist or no longer exists.
    Missing,
    /// The stored parts remain valid; the next run can send the rest.
    Resumable(Failure),
    /// The upload can never be completed.
    Final(Failure),
}

impl From<Failure> for UploadError {
    fn from(failure: Failure) -> Self {
        Self::Resumable(failure)
    }
}

impl From<ClientError> for UploadError {
    fn from(error: ClientError) -> Self {
        if error.is_missing_upload() { Self::Missing } else { Self::Resumable(error.into()) }
    }
}

struct Upload<'a> {
    transfer: &'a Transfer,
    progress: &'a Progress,
}

/// The granted URLs. Parts are numbered from 1.
struct Destination {
    storage: Storage,
    part_size: u64,
    parts: BTreeMap<u32, SignedUrl>,
    complete_url: SignedUrl,
    complete_headers: BTreeMap<String, String>,
    abort_url: SignedUrl,
}

impl Upload<'_> {
    async fn run(&self, state: &mut UploadState) -> Result<Stored, UploadError> {
        let transfer = self.transfer;
        let resumed_bytes = self.stored_bytes(state);
        self.progress.advance(resumed_bytes);
        if resumed_bytes > 0 {
            let text = format!(
                "Resuming: {} of {} are stored",
                size(resumed_bytes),
                size(self.transfer.source.size)
            );
            self.progress.note(&text);
        }
        let mut tries_without_progress = 0;
        loop {
            let (grant, destination, baseline) = self.request_urls(state).await?;
            let before = self.stored_bytes(state);
            let sent = match self.send_missing(&destination, state).await {
                Ok(()) => self.complete(&destination, state, &grant, baseline).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(etag) => {
                    return Ok(Stored {
                        video_id: grant.video_id,
                        s3_key: grant.s3_key,
                        grant_id: grant.grant_id,
                        etag,
                        bytes: transfer.source.size,
                        baseline,
                        resumed_bytes,
                    });
                }
                Err(PartError::Client(error)) if error.is_expired_signature() => {
                    tries_without_progress =
                        if self.stored_bytes(state) > before { 0 } else { tries_without_progress + 1 };
                    if tries_without_progress > MAX_NEW_URLS {
                        return Err(error.into());
                    }
                    self.progress.note("The upload URLs have expired; requesting new ones");
                }
                Err(PartError::Client(error)) if error.is_transient() || error.is_missing_upload() => {
                    return Err(error.into());
                }
                Err(PartError::Client(error)) => {
                    // Best effort: if this fails, the bucket's lifecycle rule aborts the upload.
                    let _ = destination.storage.abort(&destination.abort_url).await;
                    return Err(UploadError::Final(error.into()));
                }
                Err(PartError::Local(failure)) => return Err(failure.into()),
            }
        }
    }

    /// Requests URLs for the upload in progress, or for a new one.
    async fn request_urls(
        &self,
        state: &mut UploadState,
    ) -> Result<(UploadGrant, Destination, Option<Baseline>), UploadError> {
        let transfer = self.transfer;
        let unfinished = state.unfinished().cloned();
        let Some(unfinished) = unfinished else { return self.begin(state).await };
        let request = unfinished.continued(&transfer.request);
        let (grant, upload_id, destination) = match self.grant(&request, RetryPolicy::Long).await {
            Err(ClientError::Problem(problem)) if matches!(problem.status, 404 | 409 | 410) => {
                return Err(UploadError::Missing);
            }
            result => result?,
        };
        let differs = unfinished.part_size != destination.part_size
            || unfinished.upload_id != upload_id
            || unfinished.s3_key != grant.s3_key;
        if differs { Err(UploadError::Missing) } else { Ok((grant, destination, unfinished.baseline)) }
    }

    /// Begins a new upload.
    async fn begin(
        &self,
        state: &mut UploadState,
    ) -> Result<(UploadGrant, Destination, Option<Baseline>), UploadError> {
        let transfer = self.transfer;
        let (grant, upload_id, destination) = self.grant(&transfer.request, RetryPolicy::Brief).await?;
        let checked = match transfer.baseline(&grant.video_id).await {
            Ok(baseline) => transfer.check_replaced(&grant, baseline).map(|()| baseline),
            Err(error) => Err(error.into()),
        };
        let baseline = match checked {
            Ok(baseline) => baseline,
            Err(failure) => {
                // Best effort, as below.
                let _ = destination.storage.abort(&destination.abort_url).await;
                return Err(UploadError::Final(failure));
            }
        };
        let mut unfinished =
            Unfinished::new(&transfer.source, upload_id, destination.part_size, grant.s3_key.clone());
        unfinished.overwrite = transfer.request.overwrite;
        unfinished.baseline = baseline;
        let is_another_try = baseline.is_some_and(|baseline| baseline.is_another_try());
        if is_another_try && unfinished.overwrite == Some(false) {
            unfinished.overwrite = None;
            let request = unfinished.continued(&transfer.request);
            state.begin(unfinished)?;
            let (grant, _, destination) = self.grant(&request, RetryPolicy::Brief).await?;
            return Ok((grant, destination, baseline));
        }
        state.begin(unfinished)?;
        Ok((grant, destination, baseline))
    }

    /// Requests the URLs of an upload. Returns the grant, S3's id of the upload, and its checked URLs.
    async fn grant(
        &self,
        request: &UploadRequest,
        policy: RetryPolicy,
    ) -> Result<(UploadGrant, String, Destination), ClientError> {
        let key = IdempotencyKey::random().map_err(|failure| ClientError::File(failure.message))?;
        let mut grant = self.transfer.client.upload_url(request, &key, policy).await?;
        let multipart = grant.multipart.take().ok_or_else(|| self.unexpected("it has no URLs for parts"))?;
        let upload_id = multipart.upload_id.clone();
        let destination = self.check(multipart)?;
        Ok((grant, upload_id, destination))
    }

    /// Checks that the grant has a URL for exactly each part of the file.
    fn check(&self, grant: MultipartGrant) -> Result<Destination, ClientError> {
        if grant.part_size == 0 {
            return Err(self.unexpected("its part size is 0"));
        }
        let count = self.transfer.source.size.div_ceil(grant.part_size).max(1);
        let parts: BTreeMap<u32, SignedUrl> =
            grant.parts.into_iter().map(|part| (part.part_number, part.url)).collect();
        if !(1..=count).eq(parts.keys().copied().map(u64::from)) {
            return Err(self.unexpected("its parts do not cover the file"));
        }
        Ok(Destination {
            storage: Storage::at(&grant.complete_url)
                .map_err(|failure| ClientError::File(failure.message))?,
            part_size: grant.part_size,
            parts,
            complete_url: grant.complete_url,
            complete_headers: grant.complete_headers,
            abort_url: grant.abort_url,
        })
    }

    async fn send_missing(
        &self,
        destination: &Destination,
        state: &mut UploadState,
    ) -> Result<(), PartError> {
        let stored = state.unfinished().map(|unfinished| unfinished.parts.clone()).unwrap_or_default();
        let missing: Vec<(u32, &SignedUrl)> = destination
            .parts
            .iter()
            .filter(|(number, _)| !stored.contains_key(number))
            .map(|(number, url)| (*number, url))
            .collect();
        let mut done = stored.len();
        self.transfer.stage.set(Stage::Parts { stored: done, total: destination.parts.len() });
        let mut sending = stream::iter(missing)
            .map(|(number, url)| async move {
                self.send(destination, number, url).await.map(|etag| (number, etag))
            })
            .buffer_unordered(self.transfer.parallel.get());
        while let Some((number, etag)) = sending.try_next().await? {
            state.record_part(number, etag)?;
            done += 1;
            self.transfer.stage.set(Stage::Parts { stored: done, total: destination.parts.len() });
        }
        Ok(())
    }

    async fn send(
        &self,
        destination: &Destination,
        number: u32,
        url: &SignedUrl,
    ) -> Result<String, PartError> {
        let offset = u64::from(number - 1) * destination.part_size;
        let length = destination.part_size.min(self.transfer.source.size - offset);
        let chunk = Chunk { source: &self.transfer.source, offset, length, progress: self.progress.clone() };
        let mut headers = BTreeMap::new();
        if self.transfer.checksum {
            let mut hasher = Md5::new();
            chunk
                .read(|bytes| hasher.update(bytes))
                .await
                .map_err(|error| PartError::Local(self.transfer.source.unreadable(&error)))?;
            headers.insert("content-md5".to_owned(), STANDARD.encode(hasher.finalize()));
        }
        let notify = |error: &ClientError, wait| {
            self.progress.note(&format!("part {number}: {}", retry_message(error, wait)));
        };
        Ok(with_retries(RetryPolicy::Long, notify, || destination.storage.put(url, &headers, &chunk)).await?)
    }

    /// Completes the upload and returns the object's entity tag, if the store returned one.
    async fn complete(
        &self,
        destination: &Destination,
        state: &UploadState,
        grant: &UploadGrant,
        baseline: Option<Baseline>,
    ) -> Result<Option<String>, PartError> {
        self.transfer.source.check_unchanged()?;
        self.progress.step("joining the parts");
        let parts = state.unfinished().map(|unfinished| unfinished.parts.clone()).unwrap_or_default();
        let ambiguous = AtomicBool::new(false);
        let notify = |error: &ClientError, wait| {
            ambiguous.fetch_or(error.is_ambiguous(), Ordering::Relaxed);
            self.progress.note(&retry_message(error, wait));
        };
        let complete =
            || destination.storage.complete(&destination.complete_url, &destination.complete_headers, &parts);
        let outcome = with_retries(RetryPolicy::Long, notify, complete).await;
        match outcome {
            // The response of an earlier try was lost, possibly in an earlier run: check whether the upload is recorded.
            Err(error @ ClientError::Storage(_))
                if error.is_missing_upload()
                    || ambiguous.load(Ordering::Relaxed) && !error.is_transient() =>
            {
                let arrived = self.transfer.has_arrived(&grant.video_id, baseline).await;
                if arrived { Ok(None) } else { Err(error.into()) }
            }
            outcome => Ok(outcome?),
        }
    }

    fn stored_bytes(&self, state: &UploadState) -> u64 {
        let Some(unfinished) = state.unfinished() else { return 0 };
        let size = self.transfer.source.size;
        let bytes_of = |number: &u32| {
            let offset = u64::from(number - 1).saturating_mul(unfinished.part_size);
            unfinished.part_size.min(size.saturating_sub(offset))
        };
        unfinished.parts.keys().filter(|number| **number > 0).map(bytes_of).sum()
    }

    fn unexpected(&self, reason: &str) -> ClientError {
        ClientError::Unexpected {
            address: self.transfer.client.address().to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// Why a part could not be sent or the upload not be completed.
enum PartError {
    Client(ClientError),
    /// An error on this machine.
    Local(Failure),
}

impl From<ClientError> for PartError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<Failure> for PartError {
    fn from(failure: Failure) -> Self {
        Self::Local(failure)
    }
}

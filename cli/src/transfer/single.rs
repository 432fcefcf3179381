//! Uploads a file with one presigned PUT.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use streamio_events::id::VideoId;

use super::baseline::Baseline;
use super::body::Chunk;
use super::stage::Stage;
use super::storage::Storage;
use super::{Stored, Transfer};
use crate::client::error::ClientError;
use crate::client::retry::{RetryPolicy, with_retries};
use crate::client::wire::{SignedUrl, UploadGrant};
use crate::client::{IdempotencyKey, retry_message};
use crate::exit::{Exit, Failure};
use crate::progress::{Progress, Unit};

/// How many new URLs to request if the store rejects the signature.
const MAX_NEW_URLS: u32 = 1;

/// Uploads the file.
pub(crate) async fn run(transfer: &Transfer) -> Result<Stored, Failure> {
    let mut request = transfer.request.clone();
    let progress = Progress::new(
        transfer.output,
        &format!("Uploading {}", transfer.source.name),
        Unit::Bytes,
        transfer.source.size,
    );
    let chunk = Chunk {
        source: &transfer.source,
        offset: 0,
        length: transfer.source.size,
        progress: progress.clone(),
    };
    if transfer.checksum {
        request.sha256 = Some(sha256(&chunk).await?);
    }
    let mut new_urls = 0;
    // Whether a try under an earlier URL may have stored the object.
    let mut may_be_stored = false;
    let mut before: Option<(VideoId, Option<Baseline>)> = None;
    let (grant, outcome) = loop {
        let grant =
            transfer.client.upload_url(&request, &IdempotencyKey::random()?, RetryPolicy::Brief).await?;
        let url = put_url(transfer, &grant)?;
        // Every grant of a unique key is for another video.
        if before.as_ref().is_none_or(|(video_id, _)| *video_id != grant.video_id) {
            let baseline = transfer.baseline(&grant.video_id).await?;
            transfer.check_replaced(&grant, baseline)?;
            before = Some((grant.video_id.clone(), baseline));
            if request.overwrite == Some(false) && baseline.is_some_and(|baseline| baseline.is_another_try())
            {
                request.overwrite = None;
                continue;
            }
        }
        transfer.stage.set(Stage::Whole);
        match put(url, &grant, &chunk, &progress).await {
            Err(PutError { error, ambiguous }) if error.is_expired_signature() && new_urls < MAX_NEW_URLS => {
                may_be_stored |= ambiguous;
                new_urls += 1;
                progress.note("The upload URL has expired; requesting a new one");
            }
            outcome => break (grant, outcome),
        }
    };
    progress.finish();
    let baseline = before.and_then(|(_, baseline)| baseline);
    let etag = match outcome {
        Ok(etag) => Some(etag.trim_matches('"').to_owned()),
        // Without --overwrite, a retry after a lost response fails because of the object that the first try stored.
        Err(PutError { error, ambiguous })
            if (ambiguous || may_be_stored)
                && is_precondition(&error)
                && transfer.has_arrived(&grant.video_id, baseline).await =>
        {
            None
        }
        Err(PutError { error, ambiguous }) => {
            let failure = Failure::from(error);
            let is_doubtful = (ambiguous || may_be_stored) && baseline.is_none();
            let is_doubtful = is_doubtful && failure.details.contains_key("code");
            return Err(if is_doubtful { with_doubt(failure) } else { failure });
        }
    };
    transfer.source.check_unchanged()?;
    Ok(Stored {
        video_id: grant.video_id,
        s3_key: grant.s3_key,
        grant_id: grant.grant_id,
        etag,
        bytes: transfer.source.size,
        baseline,
        resumed_bytes: 0,
    })
}

/// The final error of a PUT, and whether an earlier try may have stored the object.
struct PutError {
    error: ClientError,
    ambiguous: bool,
}

async fn put(
    url: &SignedUrl,
    grant: &UploadGrant,
    chunk: &Chunk<'_>,
    progress: &Progress,
) -> Result<String, PutError> {
    let storage = Storage::at(url)
        .map_err(|failure| PutError { error: ClientError::File(failure.message), ambiguous: false })?;
    let ambiguous = AtomicBool::new(false);
    let notify = |error: &ClientError, wait| {
        ambiguous.fetch_or(error.is_ambiguous(), Ordering::Relaxed);
        progress.note(&retry_message(error, wait));
    };
    with_retries(RetryPolicy::Long, notify, || storage.put(url, &grant.headers, chunk))
        .await
        .map_err(|error| PutError { error, ambiguous: ambiguous.load(Ordering::Relaxed) })
}

fn put_url<'a>(transfer: &Transfer, grant: &'a UploadGrant) -> Result<&'a SignedUrl, Failure> {
    grant.upload_url.as_ref().ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("{} returned no upload URL", transfer.client.address()),
            "try --multipart, and check that this command has the same version as the server",
        )
    })
}

/// Adds to the failure that the object may be from an earlier try, which a key without the scope `read` cannot find out.
fn with_doubt(failure: Failure) -> Failure {
    let hint = format!(
        "it may be this file, stored by a try whose response was lost: check its state with a key that has the scope read, or {}",
        failure.hint
    );
    Failure { hint, ..failure }
}

fn is_precondition(error: &ClientError) -> bool {
    matches!(error, ClientError::Storage(error) if error.status == 412)
}

/// The file's SHA-256 in base64, as S3 expects it.
async fn sha256(chunk: &Chunk<'_>) -> Result<String, Failure> {
    let mut hasher = Sha256::new();
    chunk.read(|bytes| hasher.update(bytes)).await.map_err(|error| chunk.source.unreadable(&error))?;
    Ok(STANDARD.encode(hasher.finalize()))
}

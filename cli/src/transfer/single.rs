//! A file in one piece: one presigned PUT.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use super::body::Chunk;
use super::source::Source;
use super::standing::Stage;
use super::{Stored, Transfer};
use crate::client::error::ClientError;
use crate::client::retry::{Patience, retrying};
use crate::client::storage::Storage;
use crate::client::wire::{SignedUrl, UploadGrant};
use crate::client::{IdempotencyKey, again};
use crate::exit::{Exit, Failure};
use crate::progress::{Progress, Unit};

/// How often a new URL is asked for when the store calls the signature invalid or expired.
const FRESH_URLS: u32 = 1;

/// Uploads the whole file.
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
    let mut fresh_urls = 0;
    let mut baseline = None;
    let outcome = loop {
        let grant = transfer.client.upload_url(&request, &IdempotencyKey::random()?, Patience::Brief).await?;
        let url = put_url(transfer, &grant)?;
        if baseline.is_none() {
            baseline = transfer.baseline(&grant.video_id).await?;
        }
        transfer.standing.set(Stage::Whole);
        match put(url, &grant, &chunk, &progress).await {
            Err(Put { error, .. }) if error.is_expired_signature() && fresh_urls < FRESH_URLS => {
                fresh_urls += 1;
                progress.note("The upload URL is no longer valid; asking for a new one");
            }
            outcome => break (grant, outcome),
        }
    };
    progress.end();
    let (grant, outcome) = outcome;
    let etag = match outcome {
        Ok(etag) => Some(etag.trim_matches('"').to_owned()),
        // With --no-overwrite, the retry after a lost answer meets its own object.
        Err(Put { error, ambiguous: true })
            if is_precondition(&error) && transfer.has_arrived(&grant.video_id, baseline).await =>
        {
            None
        }
        Err(Put { error, .. }) => return Err(error.into()),
    };
    transfer.source.check_unchanged()?;
    Ok(Stored {
        video_id: grant.video_id,
        s3_key: grant.s3_key,
        grant_id: grant.grant_id,
        etag,
        baseline,
        resumed_bytes: 0,
    })
}

/// A PUT that failed for good, and whether an earlier try may have stored the object.
struct Put {
    error: ClientError,
    ambiguous: bool,
}

async fn put(
    url: &SignedUrl,
    grant: &UploadGrant,
    chunk: &Chunk<'_>,
    progress: &Progress,
) -> Result<String, Put> {
    let storage = Storage::at(url)
        .map_err(|failure| Put { error: ClientError::File(failure.what), ambiguous: false })?;
    let ambiguous = AtomicBool::new(false);
    let notice = |error: &ClientError, wait| {
        ambiguous.fetch_or(error.is_ambiguous(), Ordering::Relaxed);
        progress.note(&again(error, wait));
    };
    retrying(Patience::Long, notice, || storage.put(url, &grant.headers, chunk))
        .await
        .map_err(|error| Put { error, ambiguous: ambiguous.load(Ordering::Relaxed) })
}

fn put_url<'a>(transfer: &Transfer, grant: &'a UploadGrant) -> Result<&'a SignedUrl, Failure> {
    grant.upload_url.as_ref().ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("{} gave no URL for an upload in one piece", transfer.client.address()),
            "try --multipart, and check that this command is of the server's version",
        )
    })
}

fn is_precondition(error: &ClientError) -> bool {
    matches!(error, ClientError::Storage(error) if error.status == 412)
}

/// SHA-256 of the file in base64, as S3 states it.
async fn sha256(chunk: &Chunk<'_>) -> Result<String, Failure> {
    let mut hasher = Sha256::new();
    read(chunk, |bytes| hasher.update(bytes)).await.map_err(|error| unreadable(chunk.source, &error))?;
    Ok(STANDARD.encode(hasher.finalize()))
}

/// Hands every byte of `chunk` to `each`.
pub(super) async fn read(chunk: &Chunk<'_>, mut each: impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut reader = chunk.reader().await?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match reader.read(&mut buffer).await? {
            0 => return Ok(()),
            amount => each(&buffer[..amount]),
        }
    }
}

/// The failure of reading `source`.
pub(super) fn unreadable(source: &Source, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("{} cannot be read: {error}", source.path.display()), "")
}

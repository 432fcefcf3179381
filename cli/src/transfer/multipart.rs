//! A file in parts: several presigned PUTs at the same time, each tried again on its own, and the whole resumed by the next
//! run when this one is cut off.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, StreamExt, TryStreamExt};
use md5::{Digest, Md5};

use super::body::Chunk;
use super::single::{read, unreadable};
use super::standing::Stage;
use super::{Baseline, Stored, Transfer};
use crate::client::error::ClientError;
use crate::client::retry::{Patience, retrying};
use crate::client::storage::Storage;
use crate::client::wire::{MultipartGrant, SignedUrl, UploadGrant, UploadRequest};
use crate::client::{IdempotencyKey, again};
use crate::exit::{Exit, Failure};
use crate::output::size;
use crate::progress::{Progress, Unit};
use crate::resume::{Identity, Memory, Unfinished};

/// How often in a row new URLs are asked for without any part getting through.
const FRESH_URLS: u32 = 2;

/// Uploads the file in parts.
pub(crate) async fn run(transfer: &Transfer) -> Result<Stored, Failure> {
    let client = &transfer.client;
    let identity = Identity::new(&transfer.source, client.address(), client.key_id(), &transfer.request);
    let mut memory = Memory::open(&transfer.state_directory, &identity)?;
    let progress = Progress::new(
        transfer.output,
        &format!("Uploading {}", transfer.source.name),
        Unit::Bytes,
        transfer.source.size,
    );
    let resumes = memory.unfinished().is_some();
    let upload = Upload { transfer, progress: &progress };
    let outcome = match upload.run(&mut memory).await {
        Err(Stop::Gone) if resumes => {
            progress.note("The interrupted upload is no longer known; beginning anew");
            memory.forget();
            progress.set(0);
            upload.run(&mut memory).await
        }
        outcome => outcome,
    };
    progress.end();
    match outcome {
        Ok(stored) => {
            memory.forget();
            Ok(stored)
        }
        Err(Stop::Gone) => {
            memory.forget();
            Err(Failure::new(
                Exit::Failed,
                "the object store no longer knows the upload",
                "run the command again",
            ))
        }
        Err(Stop::Paused(failure)) => {
            let stored = memory.unfinished().map_or(0, |unfinished| unfinished.parts.len());
            Err(resumable(failure, stored))
        }
        Err(Stop::Over(failure)) => {
            memory.forget();
            Err(failure)
        }
    }
}

/// A failure after which the same command goes on with the parts that are stored.
fn resumable(failure: Failure, stored: usize) -> Failure {
    if stored == 0 {
        return failure;
    }
    let rest = format!("{stored} parts are stored, and the same command sends only the rest");
    let todo = if failure.todo.is_empty() { rest } else { format!("{}; {rest}", failure.todo) };
    Failure { todo, ..failure }.with("resumable", true)
}

/// Why an upload does not go on.
enum Stop {
    /// The store does not know the upload (any more).
    Gone,
    /// What is stored is still good: once the reason is gone, the next run sends the rest.
    Paused(Failure),
    /// What is stored will never become an object.
    Over(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Paused(failure)
    }
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        if error.is_gone_upload() { Self::Gone } else { Self::Paused(error.into()) }
    }
}

struct Upload<'a> {
    transfer: &'a Transfer,
    progress: &'a Progress,
}

/// Where the parts go, by part number from 1.
struct Place {
    storage: Storage,
    part_size: u64,
    parts: BTreeMap<u32, SignedUrl>,
    complete_url: SignedUrl,
    complete_headers: BTreeMap<String, String>,
    abort_url: SignedUrl,
}

impl Upload<'_> {
    async fn run(&self, memory: &mut Memory) -> Result<Stored, Stop> {
        let resumed_bytes = self.stored_bytes(memory);
        self.progress.advance(resumed_bytes);
        if resumed_bytes > 0 {
            let text = format!(
                "Resuming: {} of {} are stored",
                size(resumed_bytes),
                size(self.transfer.source.size)
            );
            self.progress.note(&text);
        }
        let mut fruitless = 0;
        loop {
            let (grant, place, baseline) = self.place(memory).await?;
            let before = self.stored_bytes(memory);
            let sent = match self.send_missing(&place, memory).await {
                Ok(()) => self.complete(&place, memory, &grant, baseline).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(etag) => {
                    return Ok(Stored {
                        video_id: grant.video_id,
                        s3_key: grant.s3_key,
                        grant_id: grant.grant_id,
                        etag,
                        baseline,
                        resumed_bytes,
                    });
                }
                Err(Lost::Client(error)) if error.is_expired_signature() => {
                    fruitless = if self.stored_bytes(memory) > before { 0 } else { fruitless + 1 };
                    if fruitless > FRESH_URLS {
                        return Err(error.into());
                    }
                    self.progress.note("The upload URLs are no longer valid; asking for new ones");
                }
                Err(Lost::Client(error)) if error.is_transient() || error.is_gone_upload() => {
                    return Err(error.into());
                }
                Err(Lost::Client(error)) => {
                    // Free what the parts hold; should that fail too, the bucket's lifecycle rule does it.
                    let _ = place.storage.abort(&place.abort_url).await;
                    return Err(Stop::Over(error.into()));
                }
                Err(Lost::Here(failure)) => return Err(failure.into()),
            }
        }
    }

    /// Asks where the parts go: of the upload that has begun, or of a new one.
    async fn place(&self, memory: &mut Memory) -> Result<(UploadGrant, Place, Option<Baseline>), Stop> {
        let transfer = self.transfer;
        let begun = memory.unfinished().cloned();
        let upload_id = begun.as_ref().map(|begun| begun.upload_id.clone());
        let request = UploadRequest { upload_id, ..transfer.request.clone() };
        let patience = if begun.is_some() { Patience::Long } else { Patience::Brief };
        let mut grant = match transfer.client.upload_url(&request, &IdempotencyKey::random()?, patience).await
        {
            Err(ClientError::Problem(problem))
                if begun.is_some() && matches!(problem.status, 404 | 409 | 410) =>
            {
                return Err(Stop::Gone);
            }
            answer => answer?,
        };
        let multipart = grant.multipart.take().ok_or_else(|| self.unexpected("it has no URLs for parts"))?;
        let upload_id = multipart.upload_id.clone();
        let place = self.check(multipart)?;
        let baseline = match &begun {
            Some(begun) if begun.part_size != place.part_size || begun.upload_id != upload_id => {
                return Err(Stop::Gone);
            }
            Some(begun) => begun.baseline,
            None => {
                let baseline = transfer.baseline(&grant.video_id).await?;
                memory.begin(Unfinished::new(&transfer.source, upload_id, place.part_size, baseline))?;
                baseline
            }
        };
        Ok((grant, place, baseline))
    }

    /// The URLs of exactly the parts that the file has.
    fn check(&self, grant: MultipartGrant) -> Result<Place, Stop> {
        if grant.part_size == 0 {
            return Err(self.unexpected("its parts have no bytes").into());
        }
        let count = self.transfer.source.size.div_ceil(grant.part_size).max(1);
        let parts: BTreeMap<u32, SignedUrl> =
            grant.parts.into_iter().map(|part| (part.part_number, part.url)).collect();
        if !(1..=count).eq(parts.keys().copied().map(u64::from)) {
            return Err(self.unexpected("its parts do not make up the file").into());
        }
        Ok(Place {
            storage: Storage::at(&grant.complete_url)?,
            part_size: grant.part_size,
            parts,
            complete_url: grant.complete_url,
            complete_headers: grant.complete_headers,
            abort_url: grant.abort_url,
        })
    }

    async fn send_missing(&self, place: &Place, memory: &mut Memory) -> Result<(), Lost> {
        let stored = memory.unfinished().map(|unfinished| unfinished.parts.clone()).unwrap_or_default();
        let missing: Vec<(u32, &SignedUrl)> = place
            .parts
            .iter()
            .filter(|(number, _)| !stored.contains_key(number))
            .map(|(number, url)| (*number, url))
            .collect();
        let mut done = stored.len();
        self.transfer.standing.set(Stage::Parts { stored: done, of: place.parts.len() });
        let mut sending = stream::iter(missing)
            .map(
                |(number, url)| async move { self.send(place, number, url).await.map(|etag| (number, etag)) },
            )
            .buffer_unordered(self.transfer.parallel.get());
        while let Some((number, etag)) = sending.try_next().await? {
            memory.stored(number, etag)?;
            done += 1;
            self.transfer.standing.set(Stage::Parts { stored: done, of: place.parts.len() });
        }
        Ok(())
    }

    async fn send(&self, place: &Place, number: u32, url: &SignedUrl) -> Result<String, Lost> {
        let offset = u64::from(number - 1) * place.part_size;
        let length = place.part_size.min(self.transfer.source.size - offset);
        let chunk = Chunk { source: &self.transfer.source, offset, length, progress: self.progress.clone() };
        let mut headers = BTreeMap::new();
        if self.transfer.checksum {
            let mut hasher = Md5::new();
            read(&chunk, |bytes| hasher.update(bytes))
                .await
                .map_err(|error| Lost::Here(unreadable(&self.transfer.source, &error)))?;
            headers.insert("content-md5".to_owned(), STANDARD.encode(hasher.finalize()));
        }
        let notice =
            |error: &ClientError, wait| self.progress.note(&format!("part {number}: {}", again(error, wait)));
        Ok(retrying(Patience::Long, notice, || place.storage.put(url, &headers, &chunk)).await?)
    }

    /// Makes the object of its parts, and answers its entity tag where the store names it.
    async fn complete(
        &self,
        place: &Place,
        memory: &Memory,
        grant: &UploadGrant,
        baseline: Option<Baseline>,
    ) -> Result<Option<String>, Lost> {
        self.transfer.source.check_unchanged()?;
        self.progress.stage("putting the parts together");
        let parts = memory.unfinished().map(|unfinished| unfinished.parts.clone()).unwrap_or_default();
        let ambiguous = AtomicBool::new(false);
        let notice = |error: &ClientError, wait| {
            ambiguous.fetch_or(error.is_ambiguous(), Ordering::Relaxed);
            self.progress.note(&again(error, wait));
        };
        let complete = || place.storage.complete(&place.complete_url, &place.complete_headers, &parts);
        let outcome = retrying(Patience::Long, notice, complete).await;
        match outcome {
            // The answer of an earlier try was lost, or this run resumes one that was cut off right there.
            Err(error @ ClientError::Storage(_))
                if error.is_gone_upload() || ambiguous.load(Ordering::Relaxed) && !error.is_transient() =>
            {
                let arrived = self.transfer.has_arrived(&grant.video_id, baseline).await;
                if arrived { Ok(None) } else { Err(error.into()) }
            }
            outcome => Ok(outcome?),
        }
    }

    fn stored_bytes(&self, memory: &Memory) -> u64 {
        let Some(unfinished) = memory.unfinished() else { return 0 };
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

/// Why a part or the whole did not get through.
enum Lost {
    Client(ClientError),
    /// Something on this machine.
    Here(Failure),
}

impl From<ClientError> for Lost {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<Failure> for Lost {
    fn from(failure: Failure) -> Self {
        Self::Here(failure)
    }
}

//! A stretch of a file as the body of a request: streamed, counted, and given up when it no longer moves.

use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http_body::{Body, Frame, SizeHint};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, Take};
use tokio_util::io::ReaderStream;

use super::source::Source;
use crate::client::error::ClientError;
use crate::progress::Progress;

/// Bytes read from the file at once.
const BUFFER: usize = 256 * 1024;
/// A transfer that moves no byte for this long, or is not answered for this long, is given up and tried again.
const STALLED_AFTER: Duration = Duration::from_mins(2);

/// Bytes `offset .. offset + length` of a file.
pub(crate) struct Chunk<'a> {
    pub(crate) source: &'a Source,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) progress: Progress,
}

/// Nothing moved for too long.
pub(crate) struct Stalled;

impl Chunk<'_> {
    /// The bytes as a request's body, and what tells how they fare.
    pub(crate) async fn open(&self) -> Result<(reqwest::Body, Activity), ClientError> {
        self.source.check_unchanged()?;
        let file = self.reader().await.map_err(|error| {
            ClientError::File(format!("{} can no longer be read: {error}", self.source.path.display()))
        })?;
        let sent = Sent(Arc::new(Mutex::new(Some(0))));
        let body = Counted {
            stream: ReaderStream::with_capacity(file, BUFFER),
            remaining: self.length,
            sent: sent.clone(),
            progress: self.progress.clone(),
        };
        Ok((reqwest::Body::wrap(body), Activity { sent, progress: self.progress.clone() }))
    }

    /// The bytes, to be read.
    pub(crate) async fn reader(&self) -> io::Result<Take<File>> {
        let mut file = File::open(&self.source.path).await?;
        file.seek(SeekFrom::Start(self.offset)).await?;
        Ok(file.take(self.length))
    }

    /// Refuses to go on when the file is not what it was.
    pub(crate) fn check_unchanged(&self) -> Result<(), ClientError> {
        self.source.check_unchanged()
    }
}

/// Bytes that a body has handed out; `None` once nobody counts any more.
#[derive(Clone)]
struct Sent(Arc<Mutex<Option<u64>>>);

impl Sent {
    fn add(&self, amount: u64, progress: &Progress) {
        if let Some(sent) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            *sent += amount;
            progress.advance(amount);
        }
    }

    fn get(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(0)
    }

    fn close(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or(0)
    }
}

/// One try at sending a chunk. Unless it is kept, what it sent is taken off the progress again.
pub(crate) struct Activity {
    sent: Sent,
    progress: Progress,
}

impl Activity {
    /// Waits for `exchange` as long as bytes move.
    pub(crate) async fn watch<T>(&self, exchange: impl Future<Output = T>) -> Result<T, Stalled> {
        tokio::pin!(exchange);
        let mut seen = self.sent.get();
        loop {
            match tokio::time::timeout(STALLED_AFTER, &mut exchange).await {
                Ok(answer) => return Ok(answer),
                Err(_) if self.sent.get() == seen => return Err(Stalled),
                Err(_) => seen = self.sent.get(),
            }
        }
    }

    /// The try succeeded: what it sent counts.
    pub(crate) fn keep(self) {
        self.sent.close();
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.progress.retreat(self.sent.close());
    }
}

struct Counted {
    stream: ReaderStream<Take<File>>,
    remaining: u64,
    sent: Sent,
    progress: Progress,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match ready!(Pin::new(&mut self.stream).poll_next(context)) {
            Some(Ok(bytes)) => {
                let amount = bytes.len() as u64;
                self.remaining = self.remaining.saturating_sub(amount);
                self.sent.add(amount, &self.progress);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None if self.remaining > 0 => {
                self.remaining = 0;
                Poll::Ready(Some(Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the file became shorter",
                ))))
            }
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

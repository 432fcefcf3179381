//! A range of a file as a request body: streamed, counted for the progress, and aborted when it stalls.

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

/// Bytes per read from the file.
const BUFFER: usize = 256 * 1024;
/// A request is aborted and retried if no byte is sent for this long, or if there is no response for this long.
const STALLED_AFTER: Duration = Duration::from_mins(2);

/// Bytes `offset .. offset + length` of a file.
pub(crate) struct Chunk<'a> {
    pub(crate) source: &'a Source,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) progress: Progress,
}

/// No byte was sent for [`STALLED_AFTER`].
pub(crate) struct Stalled;

impl Chunk<'_> {
    /// The bytes as a request body, with its activity.
    pub(crate) async fn open(&self) -> Result<(reqwest::Body, Activity), ClientError> {
        self.source.check_unchanged()?;
        let file = self.reader().await.map_err(|error| {
            ClientError::File(format!("cannot read {} any more: {error}", self.source.path.display()))
        })?;
        let sent = SentBytes(Arc::new(Mutex::new(Some(0))));
        let body = CountedBody {
            stream: ReaderStream::with_capacity(file, BUFFER),
            remaining: self.length,
            sent: sent.clone(),
            progress: self.progress.clone(),
        };
        Ok((reqwest::Body::wrap(body), Activity { sent, progress: self.progress.clone() }))
    }

    async fn reader(&self) -> io::Result<Take<File>> {
        let mut file = File::open(&self.source.path).await?;
        file.seek(SeekFrom::Start(self.offset)).await?;
        Ok(file.take(self.length))
    }

    /// Passes all bytes to `each`, for a checksum.
    pub(crate) async fn read(&self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut reader = self.reader().await?;
        let mut buffer = vec![0; BUFFER];
        loop {
            match reader.read(&mut buffer).await? {
                0 => return Ok(()),
                amount => each(&buffer[..amount]),
            }
        }
    }

    /// Fails if the file has changed since the upload began.
    pub(crate) fn check_unchanged(&self) -> Result<(), ClientError> {
        self.source.check_unchanged()
    }
}

/// Number of bytes that a body has produced; `None` when counting has ended.
#[derive(Clone)]
struct SentBytes(Arc<Mutex<Option<u64>>>);

impl SentBytes {
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

/// The activity of one request. Dropping it takes its bytes off the progress, unless [`keep`](Self::keep) was called.
pub(crate) struct Activity {
    sent: SentBytes,
    progress: Progress,
}

impl Activity {
    /// Waits for `request` to complete, or until it stalls.
    pub(crate) async fn watch<T>(&self, request: impl Future<Output = T>) -> Result<T, Stalled> {
        tokio::pin!(request);
        let mut last_sent = self.sent.get();
        loop {
            match tokio::time::timeout(STALLED_AFTER, &mut request).await {
                Ok(response) => return Ok(response),
                Err(_) if self.sent.get() == last_sent => return Err(Stalled),
                Err(_) => last_sent = self.sent.get(),
            }
        }
    }

    /// Keeps the bytes in the progress: the request succeeded.
    pub(crate) fn keep(self) {
        self.sent.close();
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        self.progress.revert(self.sent.close());
    }
}

/// A body that counts the bytes it produces.
struct CountedBody {
    stream: ReaderStream<Take<File>>,
    remaining: u64,
    sent: SentBytes,
    progress: Progress,
}

impl Body for CountedBody {
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
                Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was truncated"))))
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

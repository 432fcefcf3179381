//! The limit of what an endpoint may send before the head of its answer has arrived.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The maximum number of bytes before the end of the answer's head, interim answers included, and of the part of the body that is read
/// together with the head. The HTTP library limits the size of each head, and not the number of interim answers.
const MAX_BYTES: usize = 64 * 1024;

/// The endpoint has sent too much without a final answer.
#[derive(Debug, thiserror::Error)]
#[error("more than 64 KiB came before the answer")]
pub(super) struct NoFinalAnswer;

/// A connection from which [`MAX_BYTES`] can be read until the head has arrived, and then any number.
pub(super) struct HeadLimit<S> {
    stream: S,
    read: usize,
    has_head: Arc<AtomicBool>,
}

impl<S> HeadLimit<S> {
    /// Limits `stream` until the returned flag is set.
    pub(super) fn new(stream: S) -> (Self, Arc<AtomicBool>) {
        let has_head = Arc::new(AtomicBool::new(false));
        (Self { stream, read: 0, has_head: Arc::clone(&has_head) }, has_head)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for HeadLimit<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.read = self.read.saturating_add(buffer.filled().len() - before);
        if self.read > MAX_BYTES && !self.has_head.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::Error::other(NoFinalAnswer)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for HeadLimit<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

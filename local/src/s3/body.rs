//! The request body on its way in: complete, in the framing it claims, and with the digest that was signed.
//!
//! `s3s` verifies chunk signatures and payload digests, but it takes a body that ends between two `aws-chunked`
//! chunks for whole, holds each chunk in memory whatever its size, and reports a wrong digest of an XML body as an
//! internal error. So the bytes are looked at here first, and what is found wrong is kept for the answer.

mod chunked;
mod digest;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use s3s::{S3Error, S3ErrorCode, s3_error};
use tokio::time::{Instant, Sleep, sleep};

use self::chunked::Chunked;
use self::digest::Digests;

/// A sender that is silent for so long has gone.
const IDLE: Duration = Duration::from_mins(1);

/// What was wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the body ended before it was complete")]
    Truncated,
    #[error("nothing was received for {} seconds", IDLE.as_secs())]
    Silent,
    #[error("the body is not in the aws-chunked encoding that x-amz-content-sha256 announces")]
    Framing,
    #[error("a signed chunk is larger than {} bytes; send smaller chunks", chunked::MAX_SIGNED_CHUNK)]
    ChunkTooLarge,
    #[error("the SHA-256 of the body is not the one in x-amz-content-sha256")]
    Sha256,
    #[error("the body does not have the digest that a header of the request gives")]
    Digest,
}

impl Fault {
    /// Whether the fault lies in how the body came, rather than in what it says.
    pub(super) fn is_transport(self) -> bool {
        !matches!(self, Self::Sha256 | Self::Digest)
    }

    pub(super) fn to_error(self) -> S3Error {
        let mut error = match self {
            Self::Truncated | Self::Framing => s3_error!(IncompleteBody),
            Self::Silent => s3_error!(RequestTimeout),
            Self::ChunkTooLarge => s3_error!(InvalidRequest),
            Self::Sha256 => {
                let mut error = S3Error::new(S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()));
                error.set_status_code(http::StatusCode::BAD_REQUEST);
                error
            }
            Self::Digest => s3_error!(BadDigest),
        };
        error.set_message(self.to_string());
        error
    }
}

/// What is known of a body after, or while, it is read.
#[derive(Clone, Default)]
pub(super) struct BodyWatch(Arc<Watched>);

#[derive(Default)]
struct Watched {
    fault: OnceLock<Fault>,
    unread: Mutex<Option<Incoming>>,
}

impl BodyWatch {
    /// The first fault found.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.0.fault.get().copied()
    }

    /// What nobody has read of the body, if anything and if its sender is sending.
    pub(super) fn take_unread(&self) -> Option<Incoming> {
        self.0.unread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn found(&self, fault: Fault) -> io::Error {
        let fault = *self.0.fault.get_or_init(|| fault);
        io::Error::new(io::ErrorKind::InvalidData, fault)
    }
}

/// A request body that is watched.
pub(super) struct WatchedBody {
    incoming: Option<Incoming>,
    chunked: Option<Chunked>,
    digests: Digests,
    ready: VecDeque<Bytes>,
    idle: Pin<Box<Sleep>>,
    /// The sender waits to be asked for the body (`Expect: 100-continue`) until it is first polled.
    waiting: bool,
    watch: BodyWatch,
}

impl WatchedBody {
    pub(super) fn new(incoming: Incoming, request: &Parts) -> (Self, BodyWatch) {
        let watch = BodyWatch::default();
        let mut body = Self {
            incoming: Some(incoming),
            chunked: Chunked::announced(&request.headers),
            digests: Digests::announced(request),
            ready: VecDeque::new(),
            idle: Box::pin(sleep(IDLE)),
            waiting: request.headers.contains_key(http::header::EXPECT),
            watch: watch.clone(),
        };
        if body.digests.left() == Some(0)
            && let Err(fault) = body.digests.check()
        {
            // An empty body need not be polled at all.
            watch.found(fault);
        }
        (body, watch)
    }

    fn receive(&mut self, bytes: Bytes) -> Result<(), Fault> {
        self.digests.update(&bytes);
        if self.digests.left() == Some(0) {
            self.digests.check()?;
        }
        if let Some(chunked) = &mut self.chunked {
            return chunked.receive(bytes, &mut self.ready);
        }
        self.ready.push_back(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.incoming = None;
        if self.digests.left().is_none() {
            self.digests.check()?;
        }
        self.chunked.as_ref().map_or(Ok(()), Chunked::end)
    }

    fn fail(&mut self, fault: Fault) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.ready.clear();
        Poll::Ready(Some(Err(self.watch.found(fault))))
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.waiting = false;
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let Some(incoming) = self.incoming.as_mut() else { return Poll::Ready(None) };
            let received = match Pin::new(incoming).poll_frame(cx) {
                Poll::Ready(received) => received,
                Poll::Pending => {
                    ready!(self.idle.as_mut().poll(cx));
                    self.incoming = None;
                    return self.fail(Fault::Silent);
                }
            };
            self.idle.as_mut().reset(Instant::now() + IDLE);
            let result = match received {
                Some(Ok(frame)) => frame.into_data().map_or(Ok(()), |bytes| self.receive(bytes)),
                Some(Err(_)) => {
                    self.incoming = None;
                    Err(Fault::Truncated)
                }
                None => self.end(),
            };
            if let Err(fault) = result {
                return self.fail(fault);
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.incoming, &self.chunked) {
            (Some(incoming), None) => incoming.size_hint(),
            // The framing may change on the way.
            _ => SizeHint::default(),
        }
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if !self.waiting
            && let Some(incoming) = self.incoming.take().filter(|incoming| !incoming.is_end_stream())
        {
            *self.watch.0.unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(incoming);
        }
    }
}

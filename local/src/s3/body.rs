//! Checks a request body while it is received: that it is complete, correctly framed, and has the digest that was
//! signed.
//!
//! `s3s` verifies chunk signatures and payload digests, but it accepts a body that ends between two `aws-chunked`
//! chunks as complete, holds each chunk in memory at any size, and reports a wrong digest of an XML body as an
//! internal error. So the bytes pass through this check first, and the fault it finds decides the response.

mod chunked;
mod fault;
mod header_digests;
mod limits;
#[cfg(feature = "testing")]
pub(super) mod testing;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};

use self::chunked::ChunkedFraming;
use self::fault::BodyFault;
use self::header_digests::HeaderDigests;
use crate::http_server::{BodyError, RequestBody};

/// The state of a [`CheckedBody`], readable while and after the body is read.
#[derive(Clone, Default)]
pub(super) struct BodyStatus(Arc<SharedStatus>);

#[derive(Default)]
struct SharedStatus {
    fault: OnceLock<BodyFault>,
    unread: Mutex<Option<RequestBody>>,
}

impl BodyStatus {
    /// The first fault found.
    pub(super) fn fault(&self) -> Option<BodyFault> {
        self.0.fault.get().cloned()
    }

    /// The unread rest of the body; `None` if it was read to its end or if the sender still waits for `100 Continue`.
    pub(super) fn take_unread(&self) -> Option<RequestBody> {
        self.0.unread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn record(&self, fault: BodyFault) -> io::Error {
        let fault = self.0.fault.get_or_init(|| fault);
        io::Error::new(io::ErrorKind::InvalidData, fault.clone())
    }
}

/// A request body that is checked while it is read.
pub(super) struct CheckedBody {
    incoming: Option<RequestBody>,
    chunked: Option<ChunkedFraming>,
    digests: HeaderDigests,
    ready: VecDeque<Bytes>,
    /// With `Expect: 100-continue` the sender sends nothing until the body is first polled.
    awaits_continue: bool,
    status: BodyStatus,
}

impl CheckedBody {
    pub(super) fn new(incoming: RequestBody, request: &Parts) -> (Self, BodyStatus) {
        let status = BodyStatus::default();
        let mut body = Self {
            incoming: Some(incoming),
            chunked: ChunkedFraming::for_headers(&request.headers),
            digests: HeaderDigests::of(request),
            ready: VecDeque::new(),
            awaits_continue: request.headers.contains_key(http::header::EXPECT),
            status: status.clone(),
        };
        if body.digests.remaining() == Some(0)
            && let Err(fault) = body.digests.check()
        {
            // An empty body may never be polled, so it is checked here.
            status.record(fault);
        }
        (body, status)
    }

    fn receive(&mut self, bytes: Bytes) -> Result<(), BodyFault> {
        self.digests.update(&bytes);
        if self.digests.remaining() == Some(0) {
            self.digests.check()?;
        }
        if let Some(chunked) = &mut self.chunked {
            return chunked.receive(bytes, &mut self.ready);
        }
        self.ready.push_back(bytes);
        Ok(())
    }

    fn end(&mut self) -> Result<(), BodyFault> {
        self.incoming = None;
        if self.digests.remaining().is_none() {
            self.digests.check()?;
        }
        self.chunked.as_ref().map_or(Ok(()), ChunkedFraming::end)
    }

    fn fail(&mut self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.ready.clear();
        Poll::Ready(Some(Err(self.status.record(fault))))
    }
}

impl Body for CheckedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.awaits_continue = false;
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            let Some(incoming) = self.incoming.as_mut() else { return Poll::Ready(None) };
            let result = match ready!(Pin::new(incoming).poll_frame(cx)) {
                Some(Ok(frame)) => frame.into_data().map_or(Ok(()), |bytes| self.receive(bytes)),
                Some(Err(error)) => {
                    self.incoming = None;
                    Err(match error {
                        BodyError::Connection(_) => BodyFault::Truncated,
                        BodyError::TooSlow => BodyFault::TooSlow,
                    })
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
            // Splitting chunks changes the length.
            _ => SizeHint::default(),
        }
    }
}

impl Drop for CheckedBody {
    fn drop(&mut self) {
        if !self.awaits_continue
            && let Some(incoming) = self.incoming.take().filter(|incoming| !incoming.is_end_stream())
        {
            *self.status.0.unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(incoming);
        }
    }
}

//! The body of a request, which must arrive at a minimum rate.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

/// How slow a client may send. Slower ones are taken for broken or hostile: each of them holds a connection, and an upload may go on after
/// its URL has expired.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How long nothing may arrive, and how long the rate is not looked at.
    pub(super) patience: Duration,
    /// The lowest average rate, in bytes per second.
    pub(super) rate: u64,
}

impl Pace {
    pub(super) const DEFAULT: Self = Self { patience: Duration::from_secs(30), rate: 1024 };
}

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The connection failed.
    #[error(transparent)]
    Connection(#[from] hyper::Error),
    /// The client was too slow.
    #[error(
        "the body arrived at less than {} bytes a second, or stopped for {} s", Pace::DEFAULT.rate, Pace::DEFAULT.patience.as_secs()
    )]
    TooSlow,
}

/// The body of a request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    incoming: Incoming,
    pace: Pace,
    received: u64,
    /// When the body was first asked for.
    began_at: Option<Instant>,
    /// Ends when the client has sent nothing for too long.
    silence: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, pace: Pace) -> Self {
        Self { incoming, pace, received: 0, began_at: None, silence: None }
    }

    fn is_too_slow(&self, now: Instant) -> bool {
        let elapsed = self.began_at.map_or(Duration::ZERO, |began_at| now.duration_since(began_at));
        let least = u128::from(self.pace.rate) * elapsed.as_millis() / 1000;
        elapsed > self.pace.patience && u128::from(self.received) < least
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let frame = match Pin::new(&mut this.incoming).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let now = Instant::now();
                this.began_at.get_or_insert(now);
                let silence =
                    this.silence.get_or_insert_with(|| Box::pin(sleep_until(now + this.pace.patience)));
                ready!(silence.as_mut().poll(context));
                return Poll::Ready(Some(Err(BodyError::TooSlow)));
            }
        };
        this.silence = None;
        if let Some(Ok(frame)) = &frame {
            this.received += frame.data_ref().map_or(0, |data| data.len() as u64);
            if this.is_too_slow(Instant::now()) {
                return Poll::Ready(Some(Err(BodyError::TooSlow)));
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

//! The service of one connection: counts its requests until their responses are sent, and dates the responses.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{DATE, Entry};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower::{Service, ServiceExt as _};

use super::connections::{InProgress, Requests};
use super::request_body::{Pace, RequestBody};

/// A Tower service as a hyper service.
pub(super) struct Served<S> {
    service: S,
    requests: Requests,
    pace: Pace,
}

impl<S> Served<S> {
    pub(super) fn new(service: S, requests: Requests, pace: Pace) -> Self {
        Self { service, requests, pace }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Served<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone,
    B: Body,
{
    type Response = Response<Counted<B>>;
    type Error = S::Error;
    type Future = Answering<S>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answer = self.service.clone().oneshot(request.map(|body| RequestBody::new(body, self.pace)));
        Answering { answer, in_progress: Some(self.requests.begin()) }
    }
}

pin_project! {
    /// The future of a response.
    pub(super) struct Answering<S: Service<Request<RequestBody>>> {
        #[pin]
        answer: Oneshot<S, Request<RequestBody>>,
        in_progress: Option<InProgress>,
    }
}

impl<S, B> Future for Answering<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
{
    type Output = Result<Response<Counted<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.answer.poll(context))?;
        let in_progress = this.in_progress.take();
        let mut response = response.map(|body| Counted { body, _in_progress: in_progress });
        date(response.headers_mut(), SystemTime::now().max(UNIX_EPOCH));
        Poll::Ready(Ok(response))
    }
}

/// Sets the header `Date`, unless the service did.
///
/// hyper would add a date that it caches until the clock reaches the next second, which takes an hour after the clock was set back an
/// hour. Clients of S3 correct their own clocks by this header, so that their signatures would be refused until then.
fn date(headers: &mut HeaderMap, now: SystemTime) {
    if let Entry::Vacant(entry) = headers.entry(DATE)
        && let Ok(value) = HeaderValue::try_from(httpdate::fmt_http_date(now))
    {
        entry.insert(value);
    }
}

pin_project! {
    /// The body of a response, whose request is in progress until it is dropped.
    pub(super) struct Counted<B> {
        #[pin]
        body: B,
        _in_progress: Option<InProgress>,
    }
}

impl<B: Body> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
